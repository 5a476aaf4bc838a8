//! Gravity on a farm: each worker computes the accelerations of a part of the bodies.
//!
//! The work of a step is the pairs, of which there are n^2; drifts and kicks, of which there are n, stay
//! with the master. Positions are frozen while the accelerations are written in bands.

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{Array2, Ix1, Ix2};

use super::gravity::accelerations_into;
use super::{Dynamics, System};
use crate::SimError;

/// A system under its own gravity, computed by a farm; to the bit what [`Serial`](super::Serial)
/// computes.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Integrator, OnFarm, de421};
///
/// let farm = farm_mono::Pool::new()?;
/// let mut state = OnFarm::new(&farm, &de421::initial_conditions(Bodies::Emb))?;
/// Integrator::Leapfrog.step(&mut state, 1.0)?;
/// println!("Mercury is at {}", state.system()?.positions.row(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OnFarm<'a, F> {
    farm: &'a F,
    names: Vec<String>,
    gm: ArrayRef<f64, Ix1>,
    velocities: Array2<f64>,
    /// Both are `None` once a step has failed.
    positions: Option<SharedArray<f64, Ix2>>,
    accelerations: Option<SharedArray<f64, Ix2>>,
    /// Set by the kick that computes the accelerations, cleared by each drift.
    current: bool,
}

impl<'a, F: Farm> OnFarm<'a, F> {
    /// Copies a system into shared memory.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if there is no room for it.
    pub fn new(farm: &'a F, system: &System) -> Result<Self, SimError> {
        Ok(Self {
            farm,
            names: system.names.clone(),
            gm: SharedArray::from_array(&system.gm)?.freeze(),
            velocities: system.velocities.clone(),
            accelerations: Some(SharedArray::zeros(system.positions.raw_dim())?),
            positions: Some(SharedArray::from_array(&system.positions)?),
            current: false,
        })
    }

    /// A copy of the system as it is now.
    ///
    /// # Errors
    ///
    /// [`SimError::Failed`] after a step that has failed.
    pub fn system(&self) -> Result<System, SimError> {
        let positions = self.positions.as_ref().ok_or(SimError::Failed)?;
        Ok(System {
            names: self.names.clone(),
            gm: self.gm.view().to_owned(),
            positions: positions.view().to_owned(),
            velocities: self.velocities.clone(),
        })
    }

    /// Accelerations of all bodies at the present positions.
    fn accelerate(&mut self) -> Result<(), SimError> {
        let positions = self.positions.take().ok_or(SimError::Failed)?.freeze();
        let accelerations = self.accelerations.take().ok_or(SimError::Failed)?;
        let ranges = self.farm.distribute(self.names.len());
        let (split, bands) = accelerations.split(ranges).map_err(|_| SimError::Failed)?;
        let bands = bands.into_iter().map(Band::overwrite);
        let tasks = bands.map(|band| (positions.clone(), self.gm.clone(), band));
        let bands = self.farm.map(accelerate_band, tasks)?;
        self.accelerations = Some(split.join(bands).map_err(|_| SimError::Failed)?);
        self.positions = Some(positions.thaw().map_err(|_| SimError::Failed)?);
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

impl<F: Farm> Dynamics for OnFarm<'_, F> {
    type Error = SimError;

    fn drift(&mut self, dt: f64) -> Result<(), SimError> {
        let positions = self.positions.as_mut().ok_or(SimError::Failed)?;
        positions.view_mut().scaled_add(dt, &self.velocities);
        self.current = false;
        Ok(())
    }

    fn kick(&mut self, dt: f64) -> Result<(), SimError> {
        if !self.current {
            self.accelerate()?;
            self.current = true;
        }
        let accelerations = self.accelerations.as_ref().ok_or(SimError::Failed)?;
        self.velocities.scaled_add(dt, &accelerations.view());
        Ok(())
    }
}
