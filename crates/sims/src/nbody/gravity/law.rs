//! The force between two bodies: [`Newton`], and [`NewtonWithJerk`] for methods that also use the
//! rate of change.
//!
//! With d = x_j - x_i and u = v_j - v_i,
//!
//! a_i += GM_j d / |d|^3,
//!
//! da_i/dt += GM_j (u - 3 (d.u) d / |d|^2) / |d|^3,
//!
//! and the same for j with GM_i and the opposite signs.
//!
//! Source of the jerk: Makino and Aarseth, Publ. Astron. Soc. Japan 44 (1992) 141.

use super::lanes::Lanes;

/// A force between two bodies. The force takes IN numbers of each body and gives OUT numbers.
pub(in crate::nbody) trait Law<const IN: usize, const OUT: usize> {
    /// Adds the effect of j on i to `to_i`, and that of i on j to `to_j`, lane by lane.
    fn pull<const N: usize, L: Lanes<N>>(
        lanes: L,
        i: &[L::Vector; IN],
        j: &[L::Vector; IN],
        to_i: &mut [L::Vector; OUT],
        to_j: &mut [L::Vector; OUT],
    );
}

/// Newton's law: x, y, z and GM in, the acceleration out.
pub(in crate::nbody) struct Newton;

/// Newton's law and its rate of change: x, y, z, GM and the velocity in, the acceleration and the
/// jerk out.
pub(in crate::nbody) struct NewtonWithJerk;

impl Law<4, 3> for Newton {
    #[inline(always)]
    fn pull<const N: usize, L: Lanes<N>>(
        lanes: L,
        i: &[L::Vector; 4],
        j: &[L::Vector; 4],
        to_i: &mut [L::Vector; 3],
        to_j: &mut [L::Vector; 3],
    ) {
        let d = difference(lanes, [i[0], i[1], i[2]], [j[0], j[1], j[2]]);
        let w = lanes.inverse_cube(dot(lanes, d, d));
        let (w_i, w_j) = (lanes.mul(w, j[3]), lanes.mul(w, i[3]));
        for c in 0..3 {
            to_i[c] = lanes.mul_add(w_i, d[c], to_i[c]);
            to_j[c] = lanes.negate_mul_add(w_j, d[c], to_j[c]);
        }
    }
}

impl Law<7, 6> for NewtonWithJerk {
    #[inline(always)]
    fn pull<const N: usize, L: Lanes<N>>(
        lanes: L,
        i: &[L::Vector; 7],
        j: &[L::Vector; 7],
        to_i: &mut [L::Vector; 6],
        to_j: &mut [L::Vector; 6],
    ) {
        let d = difference(lanes, [i[0], i[1], i[2]], [j[0], j[1], j[2]]);
        let u = difference(lanes, [i[4], i[5], i[6]], [j[4], j[5], j[6]]);
        let d2 = dot(lanes, d, d);
        let w = lanes.inverse_cube(d2);
        let (w_i, w_j) = (lanes.mul(w, j[3]), lanes.mul(w, i[3]));
        let rate = lanes.mul(lanes.splat(-3.0), lanes.div(dot(lanes, d, u), d2));
        for c in 0..3 {
            let jerk = lanes.mul_add(rate, d[c], u[c]);
            to_i[c] = lanes.mul_add(w_i, d[c], to_i[c]);
            to_j[c] = lanes.negate_mul_add(w_j, d[c], to_j[c]);
            to_i[3 + c] = lanes.mul_add(w_i, jerk, to_i[3 + c]);
            to_j[3 + c] = lanes.negate_mul_add(w_j, jerk, to_j[3 + c]);
        }
    }
}

#[inline(always)]
fn difference<const N: usize, L: Lanes<N>>(
    lanes: L,
    from: [L::Vector; 3],
    to: [L::Vector; 3],
) -> [L::Vector; 3] {
    [lanes.sub(to[0], from[0]), lanes.sub(to[1], from[1]), lanes.sub(to[2], from[2])]
}

#[inline(always)]
fn dot<const N: usize, L: Lanes<N>>(lanes: L, a: [L::Vector; 3], b: [L::Vector; 3]) -> L::Vector {
    lanes.mul_add(a[0], b[0], lanes.mul_add(a[1], b[1], lanes.mul(a[2], b[2])))
}
