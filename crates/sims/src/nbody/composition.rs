//! Leapfrogs of different lengths, one after the other, whose errors cancel.
//!
//! A composition of drift-kick-drift leapfrogs with lengths w_1 dt, ..., w_s dt, a sequence that
//! reads the same backwards, is symplectic and reversible as the leapfrog is, and has a higher
//! order for suitable w. Adjacent drifts are merged, so a step costs s evaluations of the forces.
//! Some lengths are negative, which is unavoidable beyond order 2.
//!
//! Source: Yoshida, Phys. Lett. A 150 (1990) 262; McLachlan, SIAM J. Sci. Comput. 16 (1995) 151.

use ndarray::Array2;

use super::integrator::{Halt, Stepper};
use super::kick::kick;
use super::{Forces, State};

/// A composition of leapfrogs.
#[derive(Debug)]
pub struct Composition {
    weights: &'static [f64],
    attraction: Array2<f64>,
}

impl Composition {
    /// The composition of leapfrogs with `weights` times the length of the step; the weights add up
    /// to 1.
    #[must_use]
    pub(crate) fn new(weights: &'static [f64]) -> Self {
        Self { weights, attraction: Array2::zeros((0, 3)) }
    }
}

impl<F: Forces> Stepper<F> for Composition {
    fn step(&mut self, state: &mut State, forces: &mut F, dt: f64) -> Result<f64, Halt<F::Error>> {
        if self.attraction.nrows() != state.len() {
            self.attraction = Array2::zeros((state.len(), 3));
        }
        let mut before = 0.0;
        for &w in self.weights {
            state.drift(0.5 * (before + w) * dt);
            forces.attraction(state.positions(), self.attraction.view_mut())?;
            kick(state, forces, self.attraction.view(), w * dt);
            before = w;
        }
        state.drift(0.5 * before * dt);
        Ok(dt)
    }
}
