//! The Hermite scheme: predict, evaluate once, correct (PEC).
//!
//! The accelerations a and their rates of change j at both ends of a step determine it to order 4:
//!
//! predict x + dt v + dt^2/2 a + dt^3/6 j and v + dt a + dt^2/2 j, evaluate a1 and j1 there, and
//! correct
//!
//! v1 = v0 + dt/2 (a0 + a1) + dt^2/12 (j0 - j1), x1 = x0 + dt/2 (v0 + v1) + dt^2/12 (a0 - a1).
//!
//! Order 4, with one evaluation of accelerations and jerks a step. The scheme is neither symplectic
//! nor reversible: the energy drifts, but close encounters are followed well. The next step starts
//! from a1 and j1, which are not evaluated again at the corrected positions.
//!
//! Source: Makino and Aarseth, Publ. Astron. Soc. Japan 44 (1992) 141.

use ndarray::{Array2, Zip};

use super::integrator::{Halt, Stepper};
use super::{Forces, State};

/// The Hermite scheme, with the accelerations and jerks at the end of its last step.
#[derive(Debug, Default)]
pub struct Hermite4 {
    last: Option<[Array2<f64>; 2]>,
}

impl<F: Forces> Stepper<F> for Hermite4 {
    fn step(&mut self, state: &mut State, forces: &mut F, dt: f64) -> Result<f64, Halt<F::Error>> {
        let mut evaluate = |x: &Array2<f64>, v: &Array2<f64>| {
            let [mut a, mut j] = [Array2::zeros(x.raw_dim()), Array2::zeros(x.raw_dim())];
            forces
                .accelerations_and_jerks(x.view(), v.view(), a.view_mut(), j.view_mut())
                .map(|()| [a, j])
        };
        let (x0, v0) = (state.positions().to_owned(), state.velocities().to_owned());
        let [a0, j0] = match self.last.take() {
            Some(last) => last,
            None => evaluate(&x0, &v0)?,
        };
        let (mut x, mut v) = (x0, v0.clone());
        Zip::from(&mut x)
            .and(&v0)
            .and(&a0)
            .and(&j0)
            .for_each(|x, v, a, j| *x += dt * (v + dt / 2.0 * (a + dt / 3.0 * j)));
        Zip::from(&mut v).and(&a0).and(&j0).for_each(|v, a, j| *v += dt * (a + dt / 2.0 * j));
        let [a1, j1] = evaluate(&x, &v)?;
        // Overwrites the predicted values with the changes of v and x.
        Zip::from(&mut v)
            .and(&a0)
            .and(&a1)
            .and(&j0)
            .and(&j1)
            .for_each(|dv, a0, a1, j0, j1| *dv = dt / 2.0 * (a0 + a1 + dt / 6.0 * (j0 - j1)));
        Zip::from(&mut x)
            .and(&v0)
            .and(&v)
            .and(&a0)
            .and(&a1)
            .for_each(|dx, v0, dv, a0, a1| *dx = dt * (v0 + dv / 2.0 + dt / 12.0 * (a0 - a1)));
        state.shift(1.0, x.view());
        state.boost(1.0, v.view());
        self.last = Some([a1, j1]);
        Ok(dt)
    }
}
