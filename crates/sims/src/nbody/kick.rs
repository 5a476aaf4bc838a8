//! The kick of symplectic integrators: the change of velocities by the forces at fixed positions.
//!
//! If forces depend on positions alone this is v += dt a(x). The corrections of relativity depend
//! on v too; with them the kick is the implicit midpoint rule for dv/dt = a(x) + a'(x, v):
//!
//! v1 = v0 + dt (a(x) + a'(x, (v0 + v1) / 2)).
//!
//! The rule is its own inverse backwards in time, so an integrator that is symmetric and of even
//! order without corrections keeps both properties with them. The costly attraction is computed
//! once. The implicit equation is solved by substitution; each round gains the digits by which the
//! corrections are smaller than Newton's gravity, eight in the solar system.
//!
//! Source: Hairer, Lubich and Wanner, Geometric Numerical Integration, 2nd ed. (2006), sections
//! II.3 and V.1.

use ndarray::{Array2, ArrayView2};

use super::{Forces, State};

/// The rounds of substitution: two suffice for the last digit, and the third is a reserve.
const ROUNDS: usize = 3;

/// Changes all velocities by a kick of `dt` days; `attraction` is the attraction at the present
/// positions.
pub(crate) fn kick<F: Forces>(state: &mut State, forces: &F, attraction: ArrayView2<f64>, dt: f64) {
    if !forces.has_corrections() {
        state.boost(dt, attraction);
        return;
    }
    let mut accelerations: Array2<f64> = attraction.to_owned();
    for _ in 0..ROUNDS {
        let mut midway = state.velocities().to_owned();
        midway.scaled_add(0.5 * dt, &accelerations);
        accelerations.assign(&attraction);
        forces.add_corrections(state.positions(), midway.view(), accelerations.view_mut());
    }
    state.boost(dt, accelerations.view());
}
