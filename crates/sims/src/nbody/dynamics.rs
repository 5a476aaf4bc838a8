//! What an integrator needs of a system: that it drifts and that it can be kicked.
//!
//! The integrators know this trait alone, so the same step runs on [`Serial`](super::Serial) and on a farm. Both
//! operations may fail, because on a farm they may; a serial system has the error type
//! [`Infallible`](std::convert::Infallible).

/// A system whose positions and velocities an integrator advances in turns.
///
/// # Units
///
/// Steps of time in days; negative steps go back in time.
pub trait Dynamics {
    /// Why an operation failed. After a failure the state is not to be trusted.
    type Error;

    /// Moves all positions x by `dt` at constant velocity: x += dt v.
    ///
    /// # Errors
    ///
    /// As the implementation says.
    fn drift(&mut self, dt: f64) -> Result<(), Self::Error>;

    /// Changes all velocities v by `dt` times the accelerations a at the present positions: v += dt a(x).
    ///
    /// Accelerations are what costs, and they depend on the positions alone: an implementation keeps them until the
    /// next drift, so that two kicks in a row compute them once.
    ///
    /// # Errors
    ///
    /// As the implementation says.
    fn kick(&mut self, dt: f64) -> Result<(), Self::Error>;
}
