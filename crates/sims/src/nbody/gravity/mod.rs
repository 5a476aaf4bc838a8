//! The accelerations of bodies i due to bodies j:
//!
//! a_i = sum over j != i of GM_j (x_j - x_i) / |x_j - x_i|^3.
//!
//! [`calc_forces`] is this sum as a function of arrays; [`DirectSum`] reuses its memory from one
//! call to the next.
//!
//! Each pair is computed once and gives the pull on both bodies, eight pairs at a time with
//! AVX-512, four with AVX2, two otherwise (see [`Level`]). The relative error of the force between
//! two bodies is below 2e-14, and mostly below 1e-15, as long as their distance is between 1e-100
//! and 1e100 in the units used. Two bodies at one point get accelerations that are not finite.
//!
//! | module | contents |
//! |---|---|
//! | `law` | the formula above for one pair, and with its rate of change |
//! | `kernel` | all pairs of some bodies, many at a time |
//! | `lanes`, `x86`, `level` | the instructions that the kernel uses |
//! | `tiling` | the division of all pairs into equal groups, which depends on the number of bodies alone |
//! | `pair_sum` | the pairs in shares, which can be summed separately |
//! | `direct_sum` | the whole sum on one thread |
//! | `apart` | the pulls of some bodies on others |

mod apart;
mod direct_sum;
mod kernel;
mod lanes;
mod law;
mod level;
mod packing;
mod pair_sum;
mod rows;
mod tiling;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, s};

pub use direct_sum::DirectSum;
pub(in crate::nbody) use law::{Law, Newton, NewtonWithJerk};
pub use level::Level;
pub(in crate::nbody) use pair_sum::PairSum;
pub(in crate::nbody) use rows::{rows, with_rows_mut};
pub(in crate::nbody) use tiling::ONE_BELOW;

/// The accelerations of bodies `i_range` due to bodies `j_range`; no body acts on itself.
///
/// # Shapes
///
/// `positions: (n, 3)`, `gm: (n,)`; the result is `(i_range.len(), 3)`, row-major.
///
/// # Units
///
/// Positions in AU, `gm` in AU^3/day^2, the result in AU/day^2.
///
/// # Panics
///
/// If the shapes do not match or a range goes beyond the last body.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use sims::nbody::gravity::calc_forces;
///
/// let positions = array![[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]];
/// let gm = array![1.0, 4.0];
/// let forces = calc_forces(positions.view(), gm.view(), 0..2, 0..2);
/// assert_eq!(forces, array![[1.0, 0.0, 0.0], [-0.25, 0.0, 0.0]]);
/// ```
#[must_use]
pub fn calc_forces(
    positions: ArrayView2<f64>,
    gm: ArrayView1<f64>,
    i_range: Range<usize>,
    j_range: Range<usize>,
) -> Array2<f64> {
    assert_eq!(positions.dim(), (gm.len(), 3), "positions do not fit gm");
    assert!(i_range.end <= gm.len(), "i_range goes beyond the last body");
    assert!(j_range.end <= gm.len(), "j_range goes beyond the last body");
    let mut forces = Array2::zeros((i_range.len(), 3));
    let mut cuts = [i_range.start, i_range.end, j_range.start, j_range.end];
    cuts.sort_unstable();
    // Both ranges are unions of these parts. Two parts are either equal or have no body in common.
    let parts = || cuts.windows(2).map(|cut| cut[0]..cut[1]).filter(|part| !part.is_empty());
    let among = |part: &Range<usize>, range: &Range<usize>| {
        range.start <= part.start && part.end <= range.end
    };
    for i in parts().filter(|part| among(part, &i_range)) {
        let rows = i.start - i_range.start..i.end - i_range.start;
        let mut forces = forces.slice_mut(s![rows, ..]);
        let targets = positions.slice(s![i.clone(), ..]);
        for j in parts().filter(|part| among(part, &j_range)) {
            let sources = positions.slice(s![j.clone(), ..]);
            let gm = gm.slice(s![j.clone()]);
            let mut part = Array2::zeros(forces.raw_dim());
            if i == j {
                DirectSum::new(gm, Level::best()).accelerations(targets, part.view_mut());
            } else {
                apart::accelerations(Level::best(), targets, sources, gm, part.view_mut());
            }
            forces += &part;
        }
    }
    forces
}

#[cfg(test)]
mod tests;
