//! What an integrator asks of gravity.
//!
//! The integrators know this trait alone, so the same step runs on [`Serial`](super::Serial) and on a farm. All calls
//! may fail, because on a farm they may; serial gravity has the error type
//! [`Infallible`](std::convert::Infallible).
//!
//! Accelerations come in two parts. The *attraction* depends on the positions alone and is what costs, as the number
//! of pairs. What depends on velocities too is small and costs as the number of bodies; symplectic integrators need it
//! apart, because only for the attraction is a kick simply v += dt a(x).

use ndarray::{ArrayView2, ArrayViewMut2};

/// A law of gravity for bodies that it knows the masses of.
///
/// # Shapes
///
/// All arrays are `(n, 3)`, row-major and contiguous, one row a body; what was in those to be written is forgotten.
///
/// # Units
///
/// AU, AU/day, AU/day^2 and AU/day^3.
pub trait Forces {
    /// Why gravity could not be computed.
    type Error;

    /// Writes the accelerations that depend on the positions alone.
    ///
    /// # Errors
    ///
    /// As the implementation says.
    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        out: ArrayViewMut2<f64>,
    ) -> Result<(), Self::Error>;

    /// Writes the accelerations of the bodies, and the rates at which these change.
    ///
    /// # Errors
    ///
    /// As the implementation says.
    fn accelerations_and_jerks(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        accelerations: ArrayViewMut2<f64>,
        jerks: ArrayViewMut2<f64>,
    ) -> Result<(), Self::Error>;

    /// Whether [`add_corrections`](Self::add_corrections) adds anything.
    fn has_corrections(&self) -> bool {
        false
    }

    /// Adds to `out` the accelerations that depend on velocities; nothing if the law has none.
    fn add_corrections(
        &self,
        _positions: ArrayView2<f64>,
        _velocities: ArrayView2<f64>,
        _out: ArrayViewMut2<f64>,
    ) {
    }

    /// Writes the accelerations of the bodies: the attraction and the corrections.
    ///
    /// # Errors
    ///
    /// As [`attraction`](Self::attraction).
    fn accelerations(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<(), Self::Error> {
        self.attraction(positions, out.view_mut())?;
        self.add_corrections(positions, velocities, out);
        Ok(())
    }
}
