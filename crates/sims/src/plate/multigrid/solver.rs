//! The solver that moves a plate to its steady state by multigrid cycles.

use farm_core::Farm;
use farm_shm::SharedArray;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::{ErrorBound, Mask, Plate};
use super::pass::Field;
use crate::SimError;

/// A plate that is solved by multigrid cycles.
///
/// # Examples
///
/// ```
/// use sims::plate::{Multigrid, Plate, exact};
///
/// let farm = farm_mono::Pool::new()?;
/// let plate = Plate { nx: 150, ny: 97, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let mut multigrid = Multigrid::new(&plate)?;
/// multigrid.advance(&farm, 6)?;
/// let bound = multigrid.error_bound(&farm)?;
/// assert!(bound < 1e-4);
/// assert!((multigrid.temperatures()[[90, 75]] - exact::temperature(&plate, 75, 90)).abs() < bound);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Multigrid {
    u: Field,
    /// Room for the values after the first half of a cycle; `None` if cells are held.
    half: Field,
    bound: ErrorBound,
    /// Whether `bound` has computed a correction that the temperatures do not have yet.
    correction: bool,
}

impl Multigrid {
    /// A plate whose sides have their temperatures, and whose cells are at zero.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    pub fn new(plate: &Plate) -> Result<Self, SimError> {
        Self::with(plate, None, |temperatures| plate.fill_sides(temperatures))
    }

    /// A plate with the temperatures that `fill` writes to an array of zeros. The sides and the
    /// cells that `mask` holds keep these temperatures.
    ///
    /// # Shapes
    ///
    /// The array that `fill` gets is `(ny + 2, nx + 2)`.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    pub fn with(
        plate: &Plate,
        mask: Option<&Mask>,
        fill: impl FnOnce(ArrayViewMut2<'_, f64>),
    ) -> Result<Self, SimError> {
        let bound = ErrorBound::new(plate, mask)?;
        let mut u = SharedArray::zeros(plate.shape())?;
        fill(u.view_mut());
        let half =
            if bound.hierarchy.holds() { None } else { Some(SharedArray::from_array(&u.view())?) };
        Ok(Self { u: Some(u), half, bound, correction: false })
    }

    /// Makes `cycles` cycles.
    ///
    /// # Errors
    ///
    /// The first error of a task; after that, [`SimError::Failed`].
    pub fn advance(&mut self, farm: &impl Farm, cycles: usize) -> Result<(), SimError> {
        let mut left = cycles;
        if self.correction && left > 0 {
            // The correction from the error bound is worth more than a cycle.
            self.correct()?;
            left -= 1;
        }
        if self.bound.hierarchy.holds() {
            if left > 0 {
                let u = self.u.as_ref().ok_or(SimError::Failed)?;
                self.bound.solve(farm, u.view(), left, |_| false)?;
                self.correct()?;
            }
        } else {
            for _ in 0..left {
                self.bound.hierarchy.cycle_on(farm, &mut self.u, &mut self.half)?;
            }
        }
        Ok(())
    }

    /// A bound on the largest error of any cell: see [`ErrorBound::of`].
    ///
    /// # Errors
    ///
    /// The first error of a task; after that, [`SimError::Failed`].
    pub fn error_bound(&mut self, farm: &impl Farm) -> Result<f64, SimError> {
        let u = self.u.as_ref().ok_or(SimError::Failed)?;
        let bound = self.bound.of(farm, u.view())?;
        self.correction = true;
        Ok(bound)
    }

    /// The temperatures, sides included; the array has the shape of [`Plate::shape`].
    ///
    /// # Panics
    ///
    /// If [`advance`](Self::advance) has failed.
    #[must_use]
    pub fn temperatures(&self) -> ArrayView2<'_, f64> {
        self.u.as_ref().expect("the temperatures went with a cycle that failed").view()
    }

    /// The number of cycles made so far, including those of error bounds.
    #[must_use]
    pub fn cycles(&self) -> usize {
        self.bound.hierarchy.cycles
    }

    /// Whether the caller's thread does the work on all levels: the plate is smaller than
    /// [`IN_LINE_BELOW`](super::IN_LINE_BELOW), or the farm has a single worker.
    #[must_use]
    pub fn inline(&self, farm: &impl Farm) -> bool {
        self.bound.hierarchy.inline(farm)
    }

    /// Adds the last solution of A z = r to the temperatures.
    fn correct(&mut self) -> Result<(), SimError> {
        let u = self.u.as_mut().ok_or(SimError::Failed)?;
        let mut view = u.view_mut();
        view += &self.bound.hierarchy.solution()?;
        self.correction = false;
        Ok(())
    }
}
