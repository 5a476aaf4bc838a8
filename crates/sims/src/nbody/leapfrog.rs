//! The leapfrog (velocity Verlet), kick-drift-kick: half a kick, a whole drift, half a kick.
//!
//! Order 2, symplectic, reversible in time. A step takes one evaluation of the forces, because the
//! last kick of a step and the first kick of the next share one. The error after a fixed time is
//! proportional to dt^2. The error of the energy stays bounded: for the solar system with steps of
//! one day it is within 3e-6 of the energy.
//!
//! Source: Hairer, Lubich and Wanner, Geometric Numerical Integration, 2nd ed. (2006), section
//! I.1.4.

use ndarray::Array2;

use super::integrator::{Halt, Stepper};
use super::kick::kick;
use super::{Forces, State};

/// The leapfrog, with the attraction at the end of its last step.
#[derive(Debug, Default)]
pub struct Leapfrog {
    attraction: Option<Array2<f64>>,
}

impl<F: Forces> Stepper<F> for Leapfrog {
    fn step(&mut self, state: &mut State, forces: &mut F, dt: f64) -> Result<f64, Halt<F::Error>> {
        let mut attraction = match self.attraction.take() {
            Some(attraction) => attraction,
            None => {
                let mut attraction = Array2::zeros((state.len(), 3));
                forces.attraction(state.positions(), attraction.view_mut())?;
                attraction
            }
        };
        kick(state, forces, attraction.view(), 0.5 * dt);
        state.drift(dt);
        forces.attraction(state.positions(), attraction.view_mut())?;
        kick(state, forces, attraction.view(), 0.5 * dt);
        self.attraction = Some(attraction);
        Ok(dt)
    }
}
