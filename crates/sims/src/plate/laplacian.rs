//! A Jacobi sweep of the five-point Laplacian over a band of rows, and the norms of the change:
//!
//! T_new = (T_left + T_right + T_below + T_above) / 4, u = T_new - T_old.
//!
//! The norms of u are reported row by row. Within a row they are summed in an order that depends on
//! the row's length alone: within a tile of some 1000 columns in eight lanes (the column modulo 8),
//! then by a tree over the lanes, then over the tiles. [`norms`] adds the rows in ascending order.
//! So neither temperatures nor norms depend on how the rows were divided into bands.
//!
//! Source: Saad, Iterative Methods for Sparse Linear Systems, 2nd ed. (2003), section 4.1.

use ndarray::{ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::rows::{at_full_width, mean};
use super::wavefront::{Window, tiles, wavefront};

/// The number of partial sums of a row. It is part of the definition of the norms: another number
/// gives other last bits.
const LANES: usize = 8;

/// How much a sweep has changed one row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowUpdate {
    /// The largest |u|; NaN if any u is.
    pub linf: f64,
    /// The sum of u^2.
    pub sum_sq: f64,
}

impl RowUpdate {
    pub(crate) const NONE: Self = Self { linf: 0.0, sum_sq: 0.0 };

    /// Adds the update of the row's next columns.
    pub(crate) fn add(&mut self, next: Self) {
        let sum_sq = self.sum_sq + next.sum_sq;
        *self = Self { linf: nan_of(sum_sq, larger(next.linf, self.linf)), sum_sq };
    }
}

/// How much a sweep has changed the plate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The largest |u|; NaN if any u is.
    pub linf: f64,
    /// The 2-norm of u, which [`Plate::error_factor`](super::Plate::error_factor) turns into a
    /// bound on the error.
    pub l2: f64,
}

/// Sweeps a band of rows once and returns the update of each row, in order.
///
/// # Shapes
///
/// `old: (rows + 2, nx + 2)`, the band's rows and one more on either side; `new: (rows, nx + 2)`,
/// the band's own rows. The first and the last column are sides of the plate, which are copied from
/// `old` to `new`.
///
/// # Panics
///
/// If the shapes do not match, if there are fewer than two columns, or if the elements of a row are
/// not adjacent in memory.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use sims::plate::laplacian;
///
/// let old = array![[0.0, 1.0, 0.0], [2.0, 9.0, 3.0], [0.0, 6.0, 0.0]];
/// let mut new = Array2::zeros((1, 3));
/// let rows = laplacian(old.view(), new.view_mut());
/// assert_eq!(new, array![[2.0, 3.0, 3.0]]);
/// assert_eq!((rows[0].linf, rows[0].sum_sq), (6.0, 36.0));
/// ```
#[must_use = "the updates tell whether more sweeps are needed"]
pub fn laplacian(old: ArrayView2<f64>, new: ArrayViewMut2<f64>) -> Vec<RowUpdate> {
    let (rows, columns) = new.dim();
    assert_eq!(old.dim(), (rows + 2, columns), "old does not fit new");
    assert!(columns >= 2, "the band lacks its side columns");
    let mut updates = Vec::with_capacity(rows);
    if rows > 0 {
        let window = Window { start: old, earlier: None, first: 0, last: rows + 1, left: 0 };
        wavefront(
            window,
            1,
            1..rows + 1,
            new,
            |_, _, from, new| mean(from, new),
            |_, new, from, _| {
                let mut update = RowUpdate::NONE;
                for tile in tiles(columns, 1) {
                    let cells = tile.with_neighbours(0, columns);
                    update.add(update_of(&from.row[cells.clone()], &new[cells]));
                }
                updates.push(update);
            },
        );
    }
    updates
}

/// The norms of the update of the whole plate, from the updates of its rows in ascending order.
#[must_use]
pub fn norms(rows: impl Iterator<Item = RowUpdate>) -> Update {
    let (linf, sum_sq) =
        rows.fold((0.0_f64, 0.0), |(linf, sum_sq), row| (linf.max(row.linf), sum_sq + row.sum_sq));
    Update { linf: nan_of(sum_sq, linf), l2: sum_sq.sqrt() }
}

/// `linf`, or NaN if the sum of squares is NaN: a maximum ignores a NaN, and a sum does not.
fn nan_of(sum_sq: f64, linf: f64) -> f64 {
    if sum_sq.is_nan() { f64::NAN } else { linf }
}

/// The larger of two numbers, in one instruction. `f64::max` takes three, because it ignores a NaN
/// on either side.
#[inline(always)]
fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The update of the cells between the first and the last one.
pub(crate) fn update_of(old: &[f64], new: &[f64]) -> RowUpdate {
    at_full_width(
        #[inline(always)]
        || {
            let last = old.len() - 1;
            let (new, new_rest) = new[1..last].as_chunks::<LANES>();
            let (old, old_rest) = old[1..last].as_chunks::<LANES>();
            let (mut linf, mut sum_sq) = ([0.0; LANES], [0.0; LANES]);
            let mut cell = |lane: usize, u: f64| {
                linf[lane] = larger(u.abs(), linf[lane]);
                sum_sq[lane] += u * u;
            };
            for (new, old) in new.iter().zip(old) {
                for lane in 0..LANES {
                    cell(lane, new[lane] - old[lane]);
                }
            }
            for (lane, (new, old)) in new_rest.iter().zip(old_rest).enumerate() {
                cell(lane, new - old);
            }
            let [a, b, c, d, e, f, g, h] = sum_sq;
            let sum_sq = ((a + b) + (c + d)) + ((e + f) + (g + h));
            RowUpdate { linf: nan_of(sum_sq, linf.into_iter().fold(0.0, f64::max)), sum_sq }
        },
    )
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, s};

    use super::*;

    /// Temperatures without any symmetry.
    fn rough(rows: usize, columns: usize) -> Array2<f64> {
        Array2::from_shape_fn((rows, columns), |(j, i)| ((7 * i + 13 * j * j) as f64).sin())
    }

    fn bits(rows: &[RowUpdate]) -> Vec<(u64, u64)> {
        rows.iter().map(|row| (row.linf.to_bits(), row.sum_sq.to_bits())).collect()
    }

    #[test]
    fn every_width_of_row_is_swept_as_the_formula_says() {
        for nx in (0..40).chain([1534, 2557, 133_119]) {
            let old = rough(5, nx + 2);
            let mut new = Array2::from_elem((3, nx + 2), f64::NAN);
            let rows = laplacian(old.view(), new.view_mut());
            for (j, row) in rows.iter().enumerate() {
                let (mut linf, mut sum_sq) = (0.0_f64, 0.0);
                for i in 1..=nx {
                    let mean = 0.25
                        * (old[[j + 1, i - 1]]
                            + old[[j + 1, i + 1]]
                            + old[[j, i]]
                            + old[[j + 2, i]]);
                    assert!((new[[j, i]] - mean).abs() < 1e-15);
                    let u = mean - old[[j + 1, i]];
                    linf = linf.max(u.abs());
                    sum_sq += u * u;
                }
                assert_eq!(new[[j, 0]], old[[j + 1, 0]]);
                assert_eq!(new[[j, nx + 1]], old[[j + 1, nx + 1]]);
                assert!((row.linf - linf).abs() < 1e-15);
                assert!((row.sum_sq - sum_sq).abs() < 1e-13 * (1.0 + sum_sq));
            }
        }
    }

    #[test]
    fn bands_give_the_bits_of_the_whole() {
        let old = rough(25, 39);
        let mut whole = Array2::zeros((23, 39));
        let rows = laplacian(old.view(), whole.view_mut());
        for height in 1..23 {
            let mut banded = Array2::zeros((23, 39));
            let mut banded_rows = Vec::new();
            for start in (0..23).step_by(height) {
                let end = 23.min(start + height);
                banded_rows.extend(laplacian(
                    old.slice(s![start..end + 2, ..]),
                    banded.slice_mut(s![start..end, ..]),
                ));
            }
            assert_eq!(banded.mapv(f64::to_bits), whole.mapv(f64::to_bits));
            assert_eq!(bits(&banded_rows), bits(&rows));
        }
    }

    #[test]
    fn a_nan_anywhere_reaches_the_norms() {
        for nx in [1, 8, 21] {
            for i in 1..=nx {
                let mut old = rough(3, nx + 2);
                old[[1, i]] = f64::NAN;
                let mut new = Array2::zeros((1, nx + 2));
                let rows = laplacian(old.view(), new.view_mut());
                assert!(rows[0].linf.is_nan());
                let calm = RowUpdate { linf: 1.0, sum_sq: 1.0 };
                let update = norms([calm, rows[0], calm].into_iter());
                assert!(update.linf.is_nan() && update.l2.is_nan());
            }
        }
    }

    #[test]
    fn a_band_without_rows_has_no_updates() {
        let rows = laplacian(rough(2, 6).view(), Array2::zeros((0, 6)).view_mut());
        assert!(rows.is_empty());
        assert_eq!(norms(rows.into_iter()), Update { linf: 0.0, l2: 0.0 });
    }
}
