//! The initial state of a run: the plate, its held cells, and the temperatures.

use app_support::Failure;
use ndarray::{Array2, ArrayViewMut2, Zip};
use sims::SimError;
use sims::plate::heat::{Mode, add_modes};
use sims::plate::{Mask, Plate};

/// A plate before the first sweep.
pub(crate) struct Start {
    pub(crate) plate: Plate,
    /// The cells that are held.
    pub(crate) mask: Option<Mask>,
    /// The temperatures of the held cells, and NaN elsewhere; the array has the plate's shape.
    held: Option<Array2<f64>>,
    waves: Vec<Mode>,
    /// The options that determine the size of the plate, as they were given.
    size: String,
}

impl Start {
    /// Creates an initial state; `held` has the plate's shape.
    pub(crate) fn new(
        plate: Plate,
        held: Option<Array2<f64>>,
        waves: Vec<Mode>,
        size: String,
    ) -> Result<Self, Failure> {
        let is_held = held.as_ref().map(|held| held.mapv(|t| !t.is_nan()));
        let mask = is_held.map(|held| Mask::new(&plate, held.view())).transpose();
        Ok(Self { mask: mask.map_err(Failure::usage)?, plate, held, waves, size })
    }

    /// Writes the initial temperatures to an array of zeros.
    pub(crate) fn fill(&self, mut temperatures: ArrayViewMut2<'_, f64>) {
        self.plate.fill_sides(temperatures.view_mut());
        add_modes(&self.plate, &self.waves, temperatures.view_mut());
        if let Some(held) = &self.held {
            let hold = |t: &mut f64, held: &f64| *t = if held.is_nan() { *t } else { *held };
            Zip::from(temperatures).and(held).for_each(hold);
        }
    }

    /// The largest absolute temperature of the sides and held cells; no steady temperature exceeds
    /// it.
    pub(crate) fn largest(&self) -> f64 {
        let Plate { top, bottom, left, right, .. } = self.plate;
        let sides = [top, bottom, left, right].into_iter();
        let held = self.held.iter().flatten().copied().filter(|t| !t.is_nan());
        sides.chain(held).fold(0.0, |largest: f64, t| largest.max(t.abs()))
    }

    /// The failure for arrays that cannot be allocated, which names the size that was asked for.
    pub(crate) fn too_large(&self, error: SimError) -> Failure {
        match error {
            SimError::Memory(error) => Failure::usage(format!("{}: {error}", self.size)),
            other => Failure::run(other),
        }
    }
}
