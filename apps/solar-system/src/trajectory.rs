//! Where the bodies were on the way.

use app_support::Failure;
use ndarray::{ArrayView2, ArrayView3};

/// Positions at regular steps: (samples, bodies, 3), AU.
pub(crate) struct Trajectory {
    bodies: usize,
    positions: Vec<f64>,
}

impl Trajectory {
    /// Room for so many samples, one `every` so many steps.
    pub(crate) fn new(every: usize, samples: usize, bodies: usize) -> Result<Self, Failure> {
        let mut positions = Vec::new();
        let numbers = samples.checked_mul(3 * bodies);
        numbers.and_then(|n| positions.try_reserve_exact(n).ok()).ok_or_else(|| {
            Failure::usage(format!(
                "--every {every}: a trajectory of {samples} samples of {bodies} bodies does not fit into \
                 memory; sample less often"
            ))
        })?;
        Ok(Self { bodies, positions })
    }

    /// Adds a sample, of shape (bodies, 3).
    pub(crate) fn push(&mut self, positions: ArrayView2<'_, f64>) {
        self.positions.extend(positions.iter());
    }

    pub(crate) fn view(&self) -> Result<ArrayView3<'_, f64>, Failure> {
        let samples = self.positions.len() / (3 * self.bodies);
        ArrayView3::from_shape((samples, self.bodies, 3), &self.positions).map_err(Failure::run)
    }
}
