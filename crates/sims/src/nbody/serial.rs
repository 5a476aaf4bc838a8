//! A [`System`] that moves in the memory of one thread: the plain implementation of [`Dynamics`], and the one that
//! parallel drivers are compared with, to the bit.

use std::convert::Infallible;

use ndarray::Array2;

use super::gravity::accelerations_into;
use super::{Dynamics, System};

/// A system under its own gravity, computed by the calling thread.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Dynamics, Serial, de421};
///
/// # fn main() -> Result<(), std::convert::Infallible> {
/// let mut state = Serial::new(de421::initial_conditions(Bodies::Emb));
/// state.kick(0.5)?;
/// state.drift(1.0)?;
/// state.kick(0.5)?;
/// assert_eq!(state.into_system().len(), 10);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Serial {
    system: System,
    /// `(n, 3)`, AU/day^2; those of the present positions if `current`.
    accelerations: Array2<f64>,
    /// Set by the kick that computes the accelerations, cleared by each drift.
    current: bool,
}

impl Serial {
    /// Takes a system over; it stays as it is until it is stepped.
    #[must_use]
    pub fn new(system: System) -> Self {
        Self { accelerations: Array2::zeros(system.positions.raw_dim()), current: false, system }
    }

    /// The system as it is now.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Gives the system back.
    #[must_use]
    pub fn into_system(self) -> System {
        self.system
    }
}

impl Dynamics for Serial {
    type Error = Infallible;

    fn drift(&mut self, dt: f64) -> Result<(), Infallible> {
        self.system.positions.scaled_add(dt, &self.system.velocities);
        self.current = false;
        Ok(())
    }

    fn kick(&mut self, dt: f64) -> Result<(), Infallible> {
        if !self.current {
            accelerations_into(
                self.system.positions.view(),
                self.system.gm.view(),
                0..self.system.len(),
                self.accelerations.view_mut(),
            );
            self.current = true;
        }
        self.system.velocities.scaled_add(dt, &self.accelerations);
        Ok(())
    }
}
