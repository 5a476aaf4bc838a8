//! The accelerations of bodies i due to bodies j:
//!
//! a_i = sum over j != i of GM_j (x_j - x_i) / |x_j - x_i|^3.
//!
//! The sum is cut into tiles of [`TILE`] sources, at indices that are multiples of `TILE`: within a tile the sources
//! are added one after the other, and the tiles' sums are added in ascending order. Only these cuts decide the bits.
//! The kernel works on sixteen bodies i side by side, with the same operations in each lane and none between lanes,
//! so the compiler can vectorise it and yet the acceleration of a body doesn't depend on its neighbours in the block,
//! nor on how the bodies i were divided among tasks.
//!
//! Source: the direct sum in blocks, as in Nyland, Harris and Prins, GPU Gems 3 (2007), chapter 31.

use std::ops::Range;

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};

/// The number of sources whose pulls are added up before they join the total.
///
/// Part of the meaning of the results: another number gives other last bits.
pub const TILE: usize = 128;

/// The number of bodies that the kernel works on at a time. It changes the speed and never the result.
const LANES: usize = 16;

/// The accelerations of bodies `i_range` due to bodies `j_range`, a body itself excepted.
///
/// The contributions of the tiles `0..TILE`, `TILE..2 * TILE`, ... to this sum, added in ascending order, are what
/// [`accelerations_into`] gives, to the bit. Two bodies at one point give a NaN.
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
/// When the shapes do not fit or a range goes beyond the last body.
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
    let mut forces = Array2::zeros((i_range.len(), 3));
    add_forces(positions, gm, i_range, j_range, forces.view_mut());
    forces
}

/// Writes the accelerations of bodies `i_range` due to all bodies to `out`.
///
/// A row of the result depends on the bodies alone, not on `i_range`: it has the same bits however the bodies are
/// divided. Allocates nothing.
///
/// # Shapes
///
/// `positions: (n, 3)`, `gm: (n,)`, `out: (i_range.len(), 3)`; what was in `out` is forgotten.
///
/// # Units
///
/// Positions in AU, `gm` in AU^3/day^2, the result in AU/day^2.
///
/// # Panics
///
/// When the shapes do not fit or `i_range` goes beyond the last body.
pub fn accelerations_into(
    positions: ArrayView2<f64>,
    gm: ArrayView1<f64>,
    i_range: Range<usize>,
    mut out: ArrayViewMut2<f64>,
) {
    out.fill(0.0);
    add_forces(positions, gm, i_range, 0..gm.len(), out);
}

/// Adds the pull of bodies `j_range` on bodies `i_range` to `out`, tile by tile.
fn add_forces(
    positions: ArrayView2<f64>,
    gm: ArrayView1<f64>,
    i_range: Range<usize>,
    j_range: Range<usize>,
    mut out: ArrayViewMut2<f64>,
) {
    let n = gm.len();
    assert_eq!(positions.dim(), (n, 3), "positions do not fit gm");
    assert_eq!(out.dim(), (i_range.len(), 3), "out does not fit i_range");
    assert!(i_range.end <= n, "i_range goes beyond the last body");
    assert!(j_range.end <= n, "j_range goes beyond the last body");

    let mut buffer = [[0.0; 4]; TILE];
    for j_tile in tiles(j_range) {
        let sources = &mut buffer[..j_tile.len()];
        for (source, j) in sources.iter_mut().zip(j_tile.clone()) {
            *source = [positions[[j, 0]], positions[[j, 1]], positions[[j, 2]], gm[j]];
        }
        for start in i_range.clone().step_by(LANES) {
            let block = start..i_range.end.min(start + LANES);
            let targets = targets(positions, block.clone());
            let apart = block.end <= j_tile.start || j_tile.end <= block.start;
            let pulls = if apart {
                pull(sources, &targets, |_, _| false)
            } else {
                // Lane l is body start + l and source s is body j_tile.start + s.
                pull(sources, &targets, |l, s| start + l == j_tile.start + s)
            };
            for l in 0..block.len() {
                for c in 0..3 {
                    out[[start - i_range.start + l, c]] += pulls[c][l];
                }
            }
        }
    }
}

/// Cuts a range at the multiples of `TILE`.
fn tiles(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let tile = start..range.end.min((start / TILE + 1) * TILE);
        start = tile.end;
        (!tile.is_empty()).then_some(tile)
    })
}

/// The coordinates of up to `LANES` bodies, lane by lane; the last body fills the lanes that are left over.
fn targets(positions: ArrayView2<f64>, block: Range<usize>) -> [[f64; LANES]; 3] {
    std::array::from_fn(|c| {
        std::array::from_fn(|l| positions[[(block.start + l).min(block.end - 1), c]])
    })
}

/// The kernel: the sum of the pulls of `sources` (x, y, z, GM) on each lane of `targets`, from the first source on.
///
/// `itself(lane, source)` says that both are one body, whose pull is then an exact zero.
#[inline(always)]
fn pull(
    sources: &[[f64; 4]],
    targets: &[[f64; LANES]; 3],
    itself: impl Fn(usize, usize) -> bool,
) -> [[f64; LANES]; 3] {
    let [mut ax, mut ay, mut az] = [[0.0; LANES]; 3];
    for (s, &[x, y, z, gm]) in sources.iter().enumerate() {
        for l in 0..LANES {
            let dx = x - targets[0][l];
            let dy = y - targets[1][l];
            let dz = z - targets[2][l];
            let r2 = dx * dx + dy * dy + dz * dz;
            let w = gm / (r2 * r2.sqrt());
            let w = if itself(l, s) { 0.0 } else { w };
            ax[l] += w * dx;
            ay[l] += w * dy;
            az[l] += w * dz;
        }
    }
    [ax, ay, az]
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, s};

    use super::*;
    use crate::nbody::{Bodies, System, belt, de421};

    /// Several tiles, the last one not full, and a number of bodies that no number of lanes divides.
    fn bodies() -> System {
        let planets = de421::initial_conditions(Bodies::EarthMoon);
        let belt = belt::asteroid_belt(2 * TILE + 20, 5, &planets.body(0));
        planets.join(&belt)
    }

    fn accelerations(system: &System, i_range: Range<usize>) -> Array2<f64> {
        let mut out = Array2::from_elem((i_range.len(), 3), f64::NAN);
        accelerations_into(system.positions.view(), system.gm.view(), i_range, out.view_mut());
        out
    }

    fn bits(array: ArrayView2<f64>) -> Array2<u64> {
        array.mapv(f64::to_bits)
    }

    fn forces(system: &System, i_range: Range<usize>, j_range: Range<usize>) -> Array2<f64> {
        calc_forces(system.positions.view(), system.gm.view(), i_range, j_range)
    }

    #[test]
    fn the_kernel_computes_the_formula() {
        let system = bodies();
        let x = &system.positions;
        let ours = accelerations(&system, 0..system.len());
        for i in 0..system.len() {
            let mut sum = Array1::zeros(3);
            for j in (0..system.len()).filter(|&j| j != i) {
                let d = &x.row(j) - &x.row(i);
                let r = d.dot(&d).sqrt();
                sum += &(system.gm[j] / r.powi(3) * &d);
            }
            let error = &ours.row(i) - &sum;
            assert!(error.dot(&error).sqrt() < 1e-14 * sum.dot(&sum).sqrt());
        }
    }

    #[test]
    fn the_bits_of_a_body_do_not_depend_on_how_the_bodies_are_divided() {
        let system = bodies();
        let whole = accelerations(&system, 0..system.len());
        let starts = [0, 1, 7, 8, 15, 16, 17, TILE - 1, TILE, TILE + 3, 2 * TILE];
        let lengths = [0, 1, 2, 9, 15, 16, 31, TILE, TILE + 5];
        for start in starts {
            for end in lengths.map(|length| system.len().min(start + length)) {
                let part = accelerations(&system, start..end);
                assert_eq!(bits(part.view()), bits(whole.slice(s![start..end, ..])));
            }
        }
    }

    #[test]
    fn tiles_added_in_ascending_order_give_the_accelerations_to_the_bit() {
        let system = bodies();
        let n = system.len();
        let mut sum = Array2::zeros((n, 3));
        for start in (0..n).step_by(TILE) {
            sum += &forces(&system, 0..n, start..n.min(start + TILE));
        }
        let whole = accelerations(&system, 0..n);
        assert_eq!(bits(sum.view()), bits(whole.view()));
        assert_eq!(bits(forces(&system, 0..n, 0..n).view()), bits(whole.view()));
    }

    #[test]
    fn forces_are_additive_over_any_cut_of_the_sources() {
        let system = bodies();
        let n = system.len();
        let whole = accelerations(&system, 0..n);
        for cut in [0, 1, 5, 100, TILE, TILE + 1, n] {
            let sum = forces(&system, 0..n, 0..cut) + forces(&system, 0..n, cut..n);
            for (a, b) in sum.rows().into_iter().zip(whole.rows()) {
                let error = &a - &b;
                assert!(error.dot(&error) < 1e-28 * b.dot(&b));
            }
        }
    }

    #[test]
    fn action_is_reaction() {
        let system = bodies();
        let forces = accelerations(&system, 0..system.len());
        let total = system.gm.dot(&forces);
        let largest = (&system.gm * &forces.column(0)).fold(0.0_f64, |a, b| a.max(b.abs()));
        assert!(total.iter().all(|f| f.abs() < 1e-14 * largest));
    }

    #[test]
    fn a_body_alone_feels_nothing() {
        let system: System = bodies().bodies().take(1).collect();
        assert_eq!(accelerations(&system, 0..1), Array2::zeros((1, 3)));
    }

    #[test]
    fn two_bodies_at_one_point_are_not_hidden() {
        let positions = Array2::zeros((2, 3));
        let gm = Array1::ones(2);
        let forces = calc_forces(positions.view(), gm.view(), 0..2, 0..2);
        assert!(forces.iter().all(|a: &f64| a.is_nan()));
    }

    #[test]
    #[should_panic(expected = "i_range goes beyond the last body")]
    fn a_range_beyond_the_last_body_is_refused() {
        let system = bodies();
        let _ = forces(&system, system.len() - 1..system.len() + 1, 0..1);
    }
}
