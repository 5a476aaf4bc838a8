//! The trait by which an integrator computes accelerations.
//!
//! The integrators use nothing but this trait, so the same step runs on [`Serial`](super::Serial)
//! and on a farm. All calls may fail, because calls on a farm may; serial gravity has the error
//! type [`Infallible`](std::convert::Infallible).
//!
//! Accelerations have two parts. The *attraction* depends on the positions alone, and its cost,
//! which dominates, grows as the number of pairs. The corrections depend on velocities too and are
//! small, and their cost grows as the number of bodies. Symplectic integrators need the parts
//! separately, because a kick is v += dt a(x) for the attraction alone.

use ndarray::{ArrayView2, ArrayViewMut2};

/// A law of gravity for bodies of given masses.
///
/// # Shapes
///
/// All arrays are `(n, 3)`, row-major and contiguous, with one row for each body. Output arrays are
/// overwritten.
///
/// # Units
///
/// AU, AU/day, AU/day^2 and AU/day^3.
pub trait Forces {
    /// The reason that gravity could not be computed.
    type Error;

    /// Writes the accelerations that depend on the positions alone.
    ///
    /// # Errors
    ///
    /// As defined by the implementation.
    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        out: ArrayViewMut2<f64>,
    ) -> Result<(), Self::Error>;

    /// Writes the accelerations of the bodies, and their rates of change, the jerks.
    ///
    /// # Errors
    ///
    /// As defined by the implementation.
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

    /// Adds the accelerations that depend on velocities to `out`; does nothing if the law has none.
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
