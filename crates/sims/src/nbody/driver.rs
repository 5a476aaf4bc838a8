//! Gravity on a farm: each worker sums the pulls of a part of the pairs.
//!
//! The cost of a step is the n^2 pairs. The integrator's own work, which grows as n, stays with the
//! master. The master packs the bodies into shared memory and freezes them; each task sums its
//! shares of the pairs, each share into a row of its own; the master adds up the rows. The shares
//! and the order of the rows depend on the number of bodies alone, so the number of workers changes
//! no bit.
//!
//! For few bodies, see [`inline_below`], the master sums the pairs itself, with the same bits.

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{ArrayView2, ArrayViewMut2, Ix1, Ix2};

use super::gravity::{
    DirectSum, Law, Level, Newton, NewtonWithJerk, ONE_BELOW, PairSum, rows, with_rows_mut,
};
use super::{Forces, System};
use crate::SimError;

/// The number of bodies below which a simulation does not use a farm of `workers` workers.
///
/// A step on worker processes costs 6 us more than its pairs while all workers are awake, and up to
/// 80 us where a worker has to be woken. With a core for each worker, two workers are faster from
/// 768 bodies on, whose pairs take one core 200 us with AVX-512. But the system may wake both
/// workers on one core and leave them there for a millisecond; with 2000 bodies this too costs less
/// than a twentieth. A single worker gains nothing, and loses less than that from 4096 bodies on.
#[must_use]
pub fn inline_below(workers: usize) -> usize {
    if workers == 1 { 4096 } else { ONE_BELOW }
}

/// Newton's gravity, computed by a farm. The result has the same bits as that of
/// [`Serial`](super::Serial).
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Ephemeris, Integrator, OnFarm, Simulation};
///
/// let farm = farm_mono::Pool::new()?;
/// let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
/// let gravity = OnFarm::new(&farm, &start)?;
/// assert!(gravity.inline());
/// let mut simulation = Simulation::new(start, gravity, Integrator::Leapfrog);
/// simulation.step(1.0)?;
/// println!("Mercury is at {}", simulation.system().positions.row(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct OnFarm<'a, F> {
    farm: &'a F,
    gm: Vec<f64>,
    pairs: PairSum,
    /// The sum on the caller's thread, if the farm is not used.
    inline: Option<DirectSum>,
    /// The arrays of the attraction. A call that fails loses them, and the next call makes new
    /// ones.
    attraction: Option<Arrays>,
    /// The arrays of the accelerations and jerks; the first call that needs them makes them.
    jerks: Option<Arrays>,
}

/// The arrays that the tasks read and write.
#[derive(Debug)]
struct Arrays {
    /// The packed bodies.
    bodies: SharedArray<f64, Ix1>,
    /// A row of sums for each share.
    rows: SharedArray<f64, Ix2>,
}

impl Arrays {
    fn new<const IN: usize, const OUT: usize>(pairs: PairSum) -> Result<Self, SimError> {
        Ok(Self {
            bodies: SharedArray::zeros(pairs.packed_len::<IN>())?,
            rows: SharedArray::zeros((pairs.shares(), pairs.row_len::<OUT>()))?,
        })
    }
}

impl<'a, F: Farm> OnFarm<'a, F> {
    /// Allocates shared memory for the gravity of the bodies of a system, which is computed with
    /// the fastest instructions that this processor has.
    ///
    /// The arrays take about 120 bytes a body below 4096 bodies, 190 up to 16383 and 240 above, and
    /// twice that in addition once jerks are computed; none if the farm is not used.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    pub fn new(farm: &'a F, system: &System) -> Result<Self, SimError> {
        Self::at_level(farm, system, Level::best())
    }

    /// As [`new`](Self::new), with the instructions of `level`, which all workers must have.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    ///
    /// # Panics
    ///
    /// If this processor lacks the instructions of `level`: here if the farm is not used, and
    /// otherwise in the first call that computes forces.
    pub fn at_level(farm: &'a F, system: &System, level: Level) -> Result<Self, SimError> {
        let inline = system.len() < inline_below(farm.workers());
        let pairs = PairSum { level, n: system.len() };
        Ok(Self {
            farm,
            gm: system.gm.to_vec(),
            pairs,
            inline: inline.then(|| DirectSum::new(system.gm.view(), level)),
            attraction: if inline { None } else { Some(Arrays::new::<4, 3>(pairs)?) },
            jerks: None,
        })
    }

    /// Whether the master computes alone, which it does exactly if there are fewer than
    /// [`inline_below`] bodies.
    #[must_use]
    pub fn inline(&self) -> bool {
        self.inline.is_some()
    }

    /// The instructions that the workers use.
    #[must_use]
    pub fn level(&self) -> Level {
        self.pairs.level
    }

    /// Sums the pairs on the farm, and gives the arrays back unless a task fails.
    fn sum<L: Law<IN, OUT> + 'static, const IN: usize, const OUT: usize>(
        &self,
        arrays: Arrays,
        vectors: &[&[[f64; 3]]],
        out: &mut [&mut [[f64; 3]]],
    ) -> Result<Arrays, SimError> {
        let Arrays { mut bodies, rows } = arrays;
        let mut view = bodies.view_mut();
        let packed = view.as_slice_mut().expect("a new array is contiguous");
        self.pairs.pack::<IN>(&self.gm, vectors, packed);
        let bodies = bodies.freeze();
        let shares = self.farm.distribute(self.pairs.shares());
        let (split, bands) = rows.split(shares).map_err(|_| SimError::Failed)?;
        let bands = bands.into_iter().map(Band::overwrite);
        let tasks = bands.map(|band| (self.pairs, bodies.clone(), band));
        let bands = self.farm.map(sum_shares::<L, IN, OUT>, tasks)?;
        let rows = split.join(bands).map_err(|_| SimError::Failed)?;
        let view = rows.view();
        let sums = view.as_slice().expect("a new array is contiguous");
        self.pairs.gather::<OUT>(sums, out);
        let bodies = bodies.thaw().map_err(|_| SimError::Failed)?;
        Ok(Arrays { bodies, rows })
    }
}

/// The task: sums the pairs of the shares whose rows are in the band.
fn sum_shares<L: Law<IN, OUT>, const IN: usize, const OUT: usize>(
    (pairs, bodies, band): (PairSum, ArrayRef<f64, Ix1>, Overwrite<f64, Ix2>),
) -> Band<f64, Ix2> {
    let mut band = band.into_band();
    let shares = band.rows();
    let (bodies, mut rows) = (bodies.view(), band.view_mut());
    let bodies = bodies.as_slice().expect("a new array is contiguous");
    let rows = rows.as_slice_mut().expect("rows of an array are contiguous");
    pairs.sum::<L, IN, OUT>(shares, bodies, rows);
    band
}

impl<F: Farm> Forces for OnFarm<'_, F> {
    type Error = SimError;

    /// Computes the attraction, by one task for each worker.
    ///
    /// # Errors
    ///
    /// The failure of a task.
    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<(), SimError> {
        if let Some(sum) = &mut self.inline {
            sum.accelerations(positions, out);
            return Ok(());
        }
        assert_eq!(positions.dim(), (self.pairs.n, 3), "positions do not fit the masses");
        assert_eq!(out.dim(), positions.dim(), "out does not fit positions");
        let arrays = match self.attraction.take() {
            Some(arrays) => arrays,
            None => Arrays::new::<4, 3>(self.pairs)?,
        };
        let x = rows(&positions);
        let arrays =
            with_rows_mut(&mut out, |a| self.sum::<Newton, 4, 3>(arrays, &[&x], &mut [a]))?;
        self.attraction = Some(arrays);
        Ok(())
    }

    /// Computes both, by one task for each worker.
    ///
    /// # Errors
    ///
    /// The failure of a task, or [`SimError::Memory`] if the arrays of the jerks do not fit into
    /// shared memory.
    fn accelerations_and_jerks(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        mut accelerations: ArrayViewMut2<f64>,
        mut jerks: ArrayViewMut2<f64>,
    ) -> Result<(), SimError> {
        if let Some(sum) = &mut self.inline {
            sum.accelerations_and_jerks(positions, velocities, accelerations, jerks);
            return Ok(());
        }
        let of_shape = |dim: (usize, usize)| dim == (self.pairs.n, 3);
        assert!(of_shape(positions.dim()), "positions do not fit the masses");
        assert!(of_shape(velocities.dim()), "velocities do not fit the masses");
        assert!(of_shape(accelerations.dim()), "accelerations do not fit the masses");
        assert!(of_shape(jerks.dim()), "jerks do not fit the masses");
        let arrays = match self.jerks.take() {
            Some(arrays) => arrays,
            None => Arrays::new::<7, 6>(self.pairs)?,
        };
        let (x, v) = (rows(&positions), rows(&velocities));
        let arrays = with_rows_mut(&mut accelerations, |a| {
            with_rows_mut(&mut jerks, |j| {
                self.sum::<NewtonWithJerk, 7, 6>(arrays, &[&x, &v], &mut [a, j])
            })
        })?;
        self.jerks = Some(arrays);
        Ok(())
    }
}
