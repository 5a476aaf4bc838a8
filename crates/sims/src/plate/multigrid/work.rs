//! The kernels of multigrid on a range of rows, independent of how the rows are shared.

use ndarray::{ArrayView2, ArrayViewMut2, Axis};
use serde::{Deserialize, Serialize};

use super::super::wavefront::{Rows, Window, wavefront};
use super::levels::Grid;
use super::rows::{Equation, coarse_row, correct, residual, restrict, smooth};
use super::sums::{dot, size};

/// The numbers of red-black sweeps before and after the correction from the coarse grid.
const BEFORE: usize = 2;
const AFTER: usize = 1;

/// A kernel that makes the rows of some arrays from other arrays of a level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum LevelOp {
    /// Smooths u, and restricts the residual to the coarse right-hand side. Makes u and, unless
    /// this is the coarsest grid, the coarse f. Takes the arrays that `guess` names.
    Descend { guess: Guess },
    /// Adds the coarse correction and smooths. Makes u. Takes u, the coarse correction, and f if
    /// there is one.
    Ascend,
    /// Reports the sizes of z and of f - A z. Takes z and f.
    Defect,
    /// Reports the products of a and b. Takes both.
    Dot,
    /// Makes p = z + beta p and q = -A p, and reports the products of p with r and of p with q.
    /// Takes z, p and r.
    Direct { beta: f64 },
    /// Makes x + alpha p and r + alpha q, and reports their sizes. Takes x, p, r and q.
    Step { alpha: f64 },
}

/// The values that smoothing starts from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Guess {
    /// Zeros. Takes f.
    Zero,
    /// The present values. Takes u, and f if there is one.
    Given,
}

/// The measures that a kernel reports of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RowReport {
    /// The largest absolute values.
    pub(crate) sizes: [f64; 2],
    /// The sums of products.
    pub(crate) products: [f64; 2],
}

impl RowReport {
    /// Combines the reports of all rows, which must come in ascending order.
    pub(crate) fn of_all(rows: impl IntoIterator<Item = Self>) -> Self {
        rows.into_iter().fold(Self::default(), |a, b| Self {
            sizes: [0, 1].map(|i| larger_or_nan(a.sizes[i], b.sizes[i])),
            products: [0, 1].map(|i| a.products[i] + b.products[i]),
        })
    }
}

fn larger_or_nan(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// A level as the kernels see it.
#[derive(Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) grid: Grid,
    pub(crate) inverse: Option<ArrayView2<'a, f64>>,
}

/// Rows that a kernel writes; the first of them is row `first` of its array.
pub(crate) struct Made<'a> {
    pub(crate) first: usize,
    pub(crate) rows: ArrayViewMut2<'a, f64>,
}

impl Made<'_> {
    fn row(&mut self, j: usize) -> &mut [f64] {
        self.rows.row_mut(j - self.first).into_slice().expect("a row has gaps")
    }
}

impl<'a> Here<'a> {
    fn equation(&self, j: usize, rhs: Option<ArrayView2<'a, f64>>) -> Equation<'a> {
        Equation {
            weights: self.grid.weights(j),
            rhs: rhs.map(|rhs| row(rhs, j)),
            inverse: self.inverse.map(|inverse| row(inverse, j)),
        }
    }

    /// Does the work on `rows`: `taken` are whole arrays, `made` the rows that are written.
    pub(crate) fn work(
        &self,
        work: LevelOp,
        rows: std::ops::Range<usize>,
        taken: &[ArrayView2<'a, f64>],
        made: &mut [Made<'_>],
    ) -> Vec<RowReport> {
        match work {
            LevelOp::Descend { guess } => {
                let start = taken[0];
                let rhs = if guess == Guess::Zero { Some(start) } else { taken.get(1).copied() };
                self.descend(guess, start, rhs, made);
                Vec::new()
            }
            LevelOp::Ascend => {
                self.ascend(taken[0], taken[1], taken.get(2).copied(), made);
                Vec::new()
            }
            LevelOp::Defect => self.defect(rows, taken[0], taken[1]),
            LevelOp::Dot => rows
                .map(|j| RowReport {
                    products: [dot(row(taken[0], j), row(taken[1], j)), 0.0],
                    ..RowReport::default()
                })
                .collect(),
            LevelOp::Direct { beta } => self.direct(beta, taken, made),
            LevelOp::Step { alpha } => rows
                .map(|j| {
                    let mut step = |array: usize, along: usize| {
                        let new = made[array / 2].row(j);
                        let (old, along) = (row(taken[array], j), row(taken[along], j));
                        for ((new, old), along) in new.iter_mut().zip(old).zip(along) {
                            *new = old + alpha * along;
                        }
                        size(new)
                    };
                    RowReport { sizes: [step(0, 1), step(2, 3)], ..RowReport::default() }
                })
                .collect(),
        }
    }

    fn window(&self, start: ArrayView2<'a, f64>) -> Window<'a> {
        Window { start, earlier: None, first: 0, last: self.grid.y.n + 1, left: 0 }
    }

    fn descend(
        &self,
        guess: Guess,
        start: ArrayView2<'a, f64>,
        rhs: Option<ArrayView2<'a, f64>>,
        made: &mut [Made<'_>],
    ) {
        let grid = self.grid;
        let (smoothed, coarse) = made.split_first_mut().expect("smoothing makes an array");
        let first = smoothed.first;
        let rows = first..first + smoothed.rows.nrows();
        let sweeps = 2 * BEFORE;
        let stages = if coarse.is_empty() { sweeps } else { sweeps + 2 };
        let (mut folded, zeros) = (vec![0.0; grid.shape().1], vec![0.0; grid.shape().1]);
        let nothing = Rows { below: &zeros, row: &zeros, above: &zeros };
        wavefront(
            self.window(start),
            stages,
            rows,
            smoothed.rows.view_mut(),
            |stage, j, from, new| {
                if stage <= sweeps {
                    let zero = stage == 1 && guess == Guess::Zero;
                    let from = if zero { nothing } else { from };
                    smooth(self.equation(j, rhs), from, is_odd(stage, j), new);
                } else if stage == sweeps + 1 {
                    residual(self.equation(j, rhs), from, new);
                }
            },
            |j, new, from, after_sweeps| {
                if stages > sweeps {
                    new.copy_from_slice(after_sweeps);
                    if let Some(at) = coarse_row(grid.y, j) {
                        restrict(grid, j, from, &mut folded, coarse[0].row(at));
                    }
                }
            },
        );
    }

    fn ascend(
        &self,
        start: ArrayView2<'a, f64>,
        coarse: ArrayView2<'a, f64>,
        rhs: Option<ArrayView2<'a, f64>>,
        made: &mut [Made<'_>],
    ) {
        let first = made[0].first;
        let rows = first..first + made[0].rows.nrows();
        let mut folded = vec![0.0; coarse.ncols()];
        wavefront(
            self.window(start),
            1 + 2 * AFTER,
            rows,
            made[0].rows.view_mut(),
            |stage, j, from, new| {
                if stage == 1 {
                    correct(self.grid, j, from.row, |j| row(coarse, j), &mut folded, new);
                } else {
                    smooth(self.equation(j, rhs), from, is_odd(stage - 1, j), new);
                }
            },
            |_, _, _, _| {},
        );
    }

    fn defect(
        &self,
        rows: std::ops::Range<usize>,
        z: ArrayView2<'a, f64>,
        f: ArrayView2<'a, f64>,
    ) -> Vec<RowReport> {
        let mut left = vec![0.0; self.grid.shape().1];
        rows.map(|j| {
            residual(self.equation(j, Some(f)), around(z, j), &mut left);
            RowReport { sizes: [size(row(z, j)), size(&left)], ..RowReport::default() }
        })
        .collect()
    }

    fn direct(
        &self,
        beta: f64,
        taken: &[ArrayView2<'a, f64>],
        made: &mut [Made<'_>],
    ) -> Vec<RowReport> {
        let (z, p, r) = (taken[0], taken[1], taken[2]);
        let [new_p, q] = made else { panic!("a direction is made with what becomes of it") };
        let first = q.first;
        let rows = first..first + q.rows.nrows();
        let mut told = Vec::with_capacity(rows.len());
        wavefront(
            self.window(z),
            2,
            rows,
            q.rows.view_mut(),
            |stage, j, from, new| {
                if stage == 1 {
                    for ((new, z), p) in new.iter_mut().zip(from.row).zip(row(p, j)) {
                        *new = z + beta * p;
                    }
                } else {
                    residual(self.equation(j, None), from, new);
                }
            },
            |j, q, from, _| {
                new_p.row(j).copy_from_slice(from.row);
                let products = [dot(from.row, row(r, j)), dot(from.row, q)];
                told.push(RowReport { products, ..RowReport::default() });
            },
        );
        told
    }
}

/// Whether half-sweep `stage` works on the odd columns of row `j`. Red comes first: the cells whose
/// column and row add up to an even number.
fn is_odd(stage: usize, j: usize) -> bool {
    stage % 2 == j % 2
}

fn row(array: ArrayView2<'_, f64>, j: usize) -> &[f64] {
    array.index_axis_move(Axis(0), j).to_slice().expect("a row has gaps")
}

fn around(array: ArrayView2<'_, f64>, j: usize) -> Rows<'_> {
    Rows { below: row(array, j - 1), row: row(array, j), above: row(array, j + 1) }
}
