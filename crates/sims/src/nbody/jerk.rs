//! The accelerations of bodies i due to bodies j, and the rates at which they change:
//!
//! a_i = sum over j != i of GM_j r / |r|^3,
//! da_i/dt = sum over j != i of GM_j (v / |r|^3 - 3 (r.v) r / |r|^5),
//!
//! with r = x_j - x_i and v = v_j - v_i. A plain sum over j in ascending order, for integrators that need the jerk.
//!
//! Source: Makino and Aarseth, Publ. Astron. Soc. Japan 44 (1992) 141, equations 1 and 2.

use std::ops::Range;

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

/// Writes the accelerations and jerks of bodies `i_range` due to all bodies.
///
/// A row of the result depends on the bodies alone, not on `i_range`. Two bodies at one point give a NaN.
///
/// # Shapes
///
/// `positions: (n, 3)`, `velocities: (n, 3)`, `gm: (n,)`; `accelerations` and `jerks: (i_range.len(), 3)`.
///
/// # Units
///
/// AU, AU/day and AU^3/day^2; the results in AU/day^2 and AU/day^3.
///
/// # Panics
///
/// When the shapes do not fit or `i_range` goes beyond the last body.
pub fn accelerations_and_jerks_into(
    positions: ArrayView2<f64>,
    velocities: ArrayView2<f64>,
    gm: ArrayView1<f64>,
    i_range: Range<usize>,
    mut accelerations: ArrayViewMut2<f64>,
    mut jerks: ArrayViewMut2<f64>,
) {
    let n = gm.len();
    assert_eq!(positions.dim(), (n, 3), "positions do not fit gm");
    assert_eq!(velocities.dim(), (n, 3), "velocities do not fit gm");
    assert_eq!(accelerations.dim(), (i_range.len(), 3), "accelerations do not fit i_range");
    assert_eq!(jerks.dim(), (i_range.len(), 3), "jerks do not fit i_range");
    assert!(i_range.end <= n, "i_range goes beyond the last body");
    let row = |array: &ArrayView2<f64>, i: usize| [array[[i, 0]], array[[i, 1]], array[[i, 2]]];
    for (k, i) in i_range.enumerate() {
        let (xi, vi) = (row(&positions, i), row(&velocities, i));
        let (mut a, mut jerk) = ([0.0; 3], [0.0; 3]);
        for j in (0..n).filter(|&j| j != i) {
            let (xj, vj) = (row(&positions, j), row(&velocities, j));
            let r = [xj[0] - xi[0], xj[1] - xi[1], xj[2] - xi[2]];
            let v = [vj[0] - vi[0], vj[1] - vi[1], vj[2] - vi[2]];
            let r2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
            let rv = r[0] * v[0] + r[1] * v[1] + r[2] * v[2];
            let w = gm[j] / (r2 * r2.sqrt());
            let turn = 3.0 * rv / r2;
            for c in 0..3 {
                a[c] += w * r[c];
                jerk[c] += w * (v[c] - turn * r[c]);
            }
        }
        for c in 0..3 {
            accelerations[[k, c]] = a[c];
            jerks[[k, c]] = jerk[c];
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::nbody::gravity::accelerations_into;
    use crate::nbody::{Bodies, de421};

    #[test]
    fn the_jerk_is_the_rate_of_change_of_the_acceleration() {
        let system = de421::initial_conditions(Bodies::EarthMoon);
        let n = system.len();
        let (mut a, mut jerk) = (Array2::zeros((n, 3)), Array2::zeros((n, 3)));
        let (x, v) = (&system.positions, &system.velocities);
        let gm = system.gm.view();
        accelerations_and_jerks_into(x.view(), v.view(), gm, 0..n, a.view_mut(), jerk.view_mut());
        let at = |t: f64| {
            let mut out = Array2::zeros((n, 3));
            accelerations_into((x + &(v * t)).view(), gm, 0..n, out.view_mut());
            out
        };
        let h = 1e-3;
        let slope = (at(h) - at(-h)) / (2.0 * h);
        let error = (&a - &at(0.0)).mapv(f64::abs);
        assert!(error.iter().all(|e| *e < 1e-17));
        for (jerk, slope) in jerk.rows().into_iter().zip(slope.rows()) {
            let error = &jerk - &slope;
            assert!(error.dot(&error).sqrt() < 1e-7 * jerk.dot(&jerk).sqrt());
        }
    }
}
