//! Newton's gravity in the memory of one thread: the plain implementation of [`Forces`]. Parallel
//! drivers must give the same bits.

use std::convert::Infallible;

use ndarray::{ArrayView2, ArrayViewMut2};

use super::gravity::{DirectSum, Level};
use super::{Forces, System};

/// Newton's gravity, computed by the calling thread.
///
/// # Examples
///
/// ```
/// use ndarray::Array2;
/// use sims::nbody::{Bodies, Ephemeris, Forces, Serial};
///
/// # fn main() -> Result<(), std::convert::Infallible> {
/// let system = Ephemeris::De421.initial_conditions(Bodies::Emb);
/// let mut accelerations = Array2::zeros((10, 3));
/// Serial::new(&system).attraction(system.positions.view(), accelerations.view_mut())?;
/// println!("Mercury falls with {} AU/day^2", accelerations.row(1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Serial {
    sum: DirectSum,
}

impl Serial {
    /// The gravity of the bodies of a system, computed with the fastest instructions that this
    /// processor has.
    #[must_use]
    pub fn new(system: &System) -> Self {
        Self::at_level(system, Level::best())
    }

    /// As [`new`](Self::new), with the instructions of `level`.
    ///
    /// # Panics
    ///
    /// If this processor lacks the instructions of `level`.
    #[must_use]
    pub fn at_level(system: &System, level: Level) -> Self {
        Self { sum: DirectSum::new(system.gm.view(), level) }
    }
}

impl Forces for Serial {
    type Error = Infallible;

    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        out: ArrayViewMut2<f64>,
    ) -> Result<(), Infallible> {
        self.sum.accelerations(positions, out);
        Ok(())
    }

    fn accelerations_and_jerks(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        accelerations: ArrayViewMut2<f64>,
        jerks: ArrayViewMut2<f64>,
    ) -> Result<(), Infallible> {
        self.sum.accelerations_and_jerks(positions, velocities, accelerations, jerks);
        Ok(())
    }
}
