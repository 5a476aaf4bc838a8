//! Gravity on a farm: each worker computes the accelerations of a part of the bodies.
//!
//! The work of a step is the pairs, of which there are n^2; what an integrator does with the accelerations, of which
//! there are n, stays with the master. Positions are copied to shared memory and frozen while the accelerations are
//! written in bands.

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{ArrayView2, ArrayViewMut2, Ix1, Ix2};

use super::gravity::accelerations_into;
use super::jerk::accelerations_and_jerks_into;
use super::{Forces, System};
use crate::SimError;

/// Newton's gravity, computed by a farm; to the bit what [`Serial`](super::Serial) computes.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Integrator, OnFarm, Simulation, de421};
///
/// let farm = farm_mono::Pool::new()?;
/// let start = de421::initial_conditions(Bodies::Emb);
/// let gravity = OnFarm::new(&farm, &start)?;
/// let mut simulation = Simulation::new(start, gravity, Integrator::Leapfrog);
/// simulation.step(1.0)?;
/// println!("Mercury is at {}", simulation.system().positions.row(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OnFarm<'a, F> {
    farm: &'a F,
    gm: ArrayRef<f64, Ix1>,
    /// Both are `None` once a call has failed.
    positions: Option<SharedArray<f64, Ix2>>,
    accelerations: Option<SharedArray<f64, Ix2>>,
}

impl<'a, F: Farm> OnFarm<'a, F> {
    /// Makes room in shared memory for the gravity of the bodies of a system.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if there is no room for it.
    pub fn new(farm: &'a F, system: &System) -> Result<Self, SimError> {
        Ok(Self {
            farm,
            gm: SharedArray::from_array(&system.gm)?.freeze(),
            accelerations: Some(SharedArray::zeros(system.positions.raw_dim())?),
            positions: Some(SharedArray::from_array(&system.positions)?),
        })
    }
}

impl<F: Farm> Forces for OnFarm<'_, F> {
    type Error = SimError;

    /// The attraction, by one task for each worker.
    ///
    /// # Errors
    ///
    /// The failure of a task; after that, [`SimError::Failed`].
    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<(), SimError> {
        let mut shared = self.positions.take().ok_or(SimError::Failed)?;
        shared.view_mut().assign(&positions);
        let shared = shared.freeze();
        let accelerations = self.accelerations.take().ok_or(SimError::Failed)?;
        let ranges = self.farm.distribute(positions.nrows());
        let (split, bands) = accelerations.split(ranges).map_err(|_| SimError::Failed)?;
        let bands = bands.into_iter().map(Band::overwrite);
        let tasks = bands.map(|band| (shared.clone(), self.gm.clone(), band));
        let bands = self.farm.map(accelerate_band, tasks)?;
        let accelerations = split.join(bands).map_err(|_| SimError::Failed)?;
        out.assign(&accelerations.view());
        self.accelerations = Some(accelerations);
        self.positions = Some(shared.thaw().map_err(|_| SimError::Failed)?);
        Ok(())
    }

    /// Both, by the calling thread.
    fn accelerations_and_jerks(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        accelerations: ArrayViewMut2<f64>,
        jerks: ArrayViewMut2<f64>,
    ) -> Result<(), SimError> {
        let gm = self.gm.view();
        let all = 0..gm.len();
        accelerations_and_jerks_into(positions, velocities, gm, all, accelerations, jerks);
        Ok(())
    }
}

/// The task: accelerations of the band's bodies, due to all.
fn accelerate_band(
    (positions, gm, band): (ArrayRef<f64, Ix2>, ArrayRef<f64, Ix1>, Overwrite<f64, Ix2>),
) -> Band<f64, Ix2> {
    let mut band = band.into_band();
    let i_range = band.rows();
    accelerations_into(positions.view(), gm.view(), i_range, band.view_mut());
    band
}
