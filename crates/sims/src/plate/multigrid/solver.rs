//! A plate on its way through cycles.

use farm_core::Farm;
use farm_shm::SharedArray;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::super::{ErrorBound, Mask, Plate};
use super::pass::Field;
use crate::SimError;

/// A plate on its way through multigrid cycles.
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
    /// Room for what a cycle makes half-way, where no cell is held.
    half: Field,
    bound: ErrorBound,
    /// Whether the bound has left behind what the temperatures lack.
    correction: bool,
}

impl Multigrid {
    /// A plate with its sides at their temperatures around cells at zero.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    pub fn new(plate: &Plate) -> Result<Self, SimError> {
        Self::with(plate, None, |temperatures| plate.fill_sides(temperatures))
    }

    /// A plate with the temperatures that `fill` writes over zeros. Those of the sides, and of the cells that are held, stay.
    ///
    /// # Shapes
    ///
    /// What is filled is `(ny + 2, nx + 2)`.
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

    /// Goes through so many cycles.
    ///
    /// # Errors
    ///
    /// The first error of a task; after that, [`SimError::Failed`].
    pub fn advance(&mut self, farm: &impl Farm, cycles: usize) -> Result<(), SimError> {
        let mut left = cycles;
        if self.correction && left > 0 {
            // The bound has done more than a cycle's work on just this.
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

    /// The temperatures, sides included, as [`Plate::shape`].
    ///
    /// # Panics
    ///
    /// After [`advance`](Self::advance) has failed.
    #[must_use]
    pub fn temperatures(&self) -> ArrayView2<'_, f64> {
        self.u.as_ref().expect("the temperatures went with a cycle that failed").view()
    }

    /// How many cycles there have been, those that bounds have taken included.
    #[must_use]
    pub fn cycles(&self) -> usize {
        self.bound.hierarchy.cycles
    }

    /// Whether all levels are worked on by the caller's thread: the plate is smaller than
    /// [`IN_LINE_BELOW`](super::IN_LINE_BELOW), or there is but one worker.
    #[must_use]
    pub fn inline(&self, farm: &impl Farm) -> bool {
        self.bound.hierarchy.inline(farm)
    }

    /// Adds the last solution of A z = r.
    fn correct(&mut self) -> Result<(), SimError> {
        let u = self.u.as_mut().ok_or(SimError::Failed)?;
        let mut view = u.view_mut();
        view += &self.bound.hierarchy.solution()?;
        self.correction = false;
        Ok(())
    }
}
