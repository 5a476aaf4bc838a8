//! The kernels of multigrid on one row.
//!
//! | function | makes |
//! |---|---|
//! | [`smooth`] | the cells of one colour anew from their equation |
//! | [`residual`] | r = f - A u, 0 where a cell is held |
//! | [`restrict`] | the right-hand side of a coarse row from three rows of r: the transpose of the interpolation |
//! | [`correct`] | u plus the correction, which is interpolated bilinearly from the coarse grid, with its true distances |
//!
//! Additions and multiplications are rounded one by one, never fused, in an order that depends on
//! the column alone.

use super::super::rows::at_full_width;
use super::super::wavefront::Rows;
use super::levels::{Axis, Grid, Weights};

/// The equations of a row's cells.
#[derive(Clone, Copy)]
pub(crate) struct Equation<'a> {
    /// The weights of all columns but the last, and those of the last column.
    pub(crate) weights: (Weights, Weights),
    /// The right-hand side; `None` means 0.
    pub(crate) rhs: Option<&'a [f64]>,
    /// The reciprocals of the diagonal if the plate has held cells, 0 in those cells. `None` means
    /// the reciprocals of the sums of the weights.
    pub(crate) inverse: Option<&'a [f64]>,
}

/// Solves the equations of the odd columns, or of the even ones, and copies the other cells.
pub(crate) fn smooth(equation: Equation<'_>, rows: Rows<'_>, odd: bool, new: &mut [f64]) {
    let odd = usize::from(odd);
    each(
        equation,
        rows,
        new,
        #[inline(always)]
        move |balance, inverse, _, t, i| if i % 2 == odd { balance * inverse } else { t },
    );
}

/// The residual of the equations, 0 on the sides and in held cells.
pub(crate) fn residual(equation: Equation<'_>, rows: Rows<'_>, new: &mut [f64]) {
    if equation.inverse.is_some() {
        each(
            equation,
            rows,
            new,
            |balance, inverse, _, t, _| {
                if inverse == 0.0 { 0.0 } else { balance - t / inverse }
            },
        );
    } else {
        each(equation, rows, new, |balance, _, diagonal, t, _| balance - diagonal * t);
    }
    let last = new.len() - 1;
    (new[0], new[last]) = (0.0, 0.0);
}

/// Computes each cell by `rule`, whose arguments are f + the weighted sum of the neighbours, the
/// reciprocal of the diagonal, the sum of the weights, the cell and its column.
#[inline(always)]
fn each(
    equation: Equation<'_>,
    rows: Rows<'_>,
    new: &mut [f64],
    rule: impl Fn(f64, f64, f64, f64, usize) -> f64 + Copy,
) {
    let Equation { weights, rhs, inverse } = equation;
    let unit = weights.0 == Weights::UNIT && weights.1 == Weights::UNIT;
    at_full_width(
        #[inline(always)]
        || match (rhs, inverse, unit) {
            (None, None, true) => columns::<false, false, true>(weights, &[], &[], rows, new, rule),
            (None, None, _) => columns::<false, false, false>(weights, &[], &[], rows, new, rule),
            (Some(f), None, true) => columns::<true, false, true>(weights, f, &[], rows, new, rule),
            (Some(f), None, _) => columns::<true, false, false>(weights, f, &[], rows, new, rule),
            (None, Some(i), _) => columns::<false, true, false>(weights, &[], i, rows, new, rule),
            (Some(f), Some(i), _) => columns::<true, true, false>(weights, f, i, rows, new, rule),
        },
    );
}

#[inline(always)]
fn columns<const RHS: bool, const INVERSE: bool, const UNIT: bool>(
    (weights, at_last): (Weights, Weights),
    rhs: &[f64],
    inverse: &[f64],
    rows: Rows<'_>,
    new: &mut [f64],
    rule: impl Fn(f64, f64, f64, f64, usize) -> f64,
) {
    let Rows { below, row, above } = rows;
    let side = row.len() - 1;
    (new[0], new[side]) = (row[0], row[side]);
    // An array that is not given is never read, so any row can stand for it.
    let rhs = if RHS { rhs } else { row };
    let inverse = if INVERSE { inverse } else { row };

    let last = side - 1;
    let cell = Cell::<RHS, INVERSE, UNIT>::new(weights);
    {
        // Slices of equal length: without them the compiler checks the bounds at every cell.
        let n = last - 1;
        let (west, t, east) = (&row[..n], &row[1..=n], &row[2..n + 2]);
        let (south, north) = (&below[1..=n], &above[1..=n]);
        let (f, inverse) = (&rhs[1..=n], &inverse[1..=n]);
        let new = &mut new[1..=n];
        for i in 0..n {
            let neighbours = [west[i], east[i], south[i], north[i]];
            new[i] = cell.new_value(&rule, neighbours, f[i], inverse[i], t[i], i + 1);
        }
    }
    let neighbours = [row[last - 1], row[last + 1], below[last], above[last]];
    let cell = Cell::<RHS, INVERSE, UNIT>::new(at_last);
    new[last] = cell.new_value(&rule, neighbours, rhs[last], inverse[last], row[last], last);
}

/// The constants of all cells of a row but the last, or those of the last cell.
struct Cell<const RHS: bool, const INVERSE: bool, const UNIT: bool> {
    weights: Weights,
    diagonal: f64,
    reciprocal: f64,
}

impl<const RHS: bool, const INVERSE: bool, const UNIT: bool> Cell<RHS, INVERSE, UNIT> {
    fn new(weights: Weights) -> Self {
        Self { diagonal: weights.sum(), reciprocal: 1.0 / weights.sum(), weights }
    }

    #[inline(always)]
    fn new_value(
        &self,
        rule: &impl Fn(f64, f64, f64, f64, usize) -> f64,
        [west, east, south, north]: [f64; 4],
        f: f64,
        inverse: f64,
        t: f64,
        i: usize,
    ) -> f64 {
        let w = &self.weights;
        // Without the multiplications by 1 the result has the same bits.
        let sum = if UNIT {
            (west + east) + (south + north)
        } else {
            (w.west * west + w.east * east) + (w.south * south + w.north * north)
        };
        let balance = if RHS { f + sum } else { sum };
        rule(balance, if INVERSE { inverse } else { self.reciprocal }, self.diagonal, t, i)
    }
}

/// The coarse row whose middle is row `j`, if there is one.
pub(crate) fn coarse_row(y: Axis, j: usize) -> Option<usize> {
    match () {
        () if y.stays() => Some(j),
        () if j.is_multiple_of(2) => Some(j / 2),
        () => None,
    }
}

/// Makes the right-hand side of the coarse row whose middle is row `j`; `folded` is scratch space
/// for a row.
pub(crate) fn restrict(grid: Grid, j: usize, r: Rows<'_>, folded: &mut [f64], coarse: &mut [f64]) {
    at_full_width(
        #[inline(always)]
        || {
            let Rows { below, row, above } = r;
            if grid.y.stays() {
                folded.copy_from_slice(row);
            } else if j == grid.y.n {
                for ((sum, below), row) in folded.iter_mut().zip(below).zip(row) {
                    *sum = row + 0.5 * below;
                }
            } else {
                let share = if j + 1 == grid.y.n { grid.y.last_share() } else { 0.5 };
                for (((sum, below), row), above) in folded.iter_mut().zip(below).zip(row).zip(above)
                {
                    *sum = (row + 0.5 * below) + share * above;
                }
            }
        },
    );
    let side = coarse.len() - 1;
    (coarse[0], coarse[side]) = (0.0, 0.0);
    if grid.x.stays() {
        coarse[1] = folded[1];
        return;
    }
    let last = side - 1;
    for (sum, three) in coarse[1..last].iter_mut().zip(folded[1..].windows(3).step_by(2)) {
        *sum = three[1] + 0.5 * (three[0] + three[2]);
    }
    coarse[last] = folded[2 * last] + 0.5 * folded[2 * last - 1];
    if 2 * last < grid.x.n {
        coarse[last] += grid.x.last_share() * folded[2 * last + 1];
    }
}

/// Adds the correction to row `j`; `coarse` returns a coarse row, and `folded` is scratch space for
/// one.
pub(crate) fn correct<'a>(
    grid: Grid,
    j: usize,
    row: &[f64],
    coarse: impl Fn(usize) -> &'a [f64],
    folded: &mut [f64],
    new: &mut [f64],
) {
    if let Some(middle) = coarse_row(grid.y, j) {
        folded.copy_from_slice(coarse(middle));
    } else {
        at_full_width(
            #[inline(always)]
            || {
                // A side lies before the first coarse row and behind the last one.
                let behind = j == grid.y.n;
                let (south, north) = (coarse(j / 2), coarse(j / 2 + 1));
                let share = if behind { grid.y.last_share() } else { 0.5 };
                for ((mean, south), north) in folded.iter_mut().zip(south).zip(north) {
                    *mean = if behind { share * south } else { share * (south + north) };
                }
            },
        );
    }
    let (last, side) = (folded.len() - 2, row.len() - 1);
    (new[0], new[side]) = (row[0], row[side]);
    if grid.x.stays() {
        new[1] = row[1] + folded[1];
        return;
    }
    let (pairs, _) = new[1..=2 * last].as_chunks_mut::<2>();
    let (of_row, _) = row[1..=2 * last].as_chunks::<2>();
    for (((new, row), before), behind) in
        pairs.iter_mut().zip(of_row).zip(&*folded).zip(&folded[1..])
    {
        *new = [row[0] + 0.5 * (before + behind), row[1] + behind];
    }
    if 2 * last < grid.x.n {
        new[2 * last + 1] = row[2 * last + 1] + grid.x.last_share() * folded[last];
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::super::Plate;
    use super::super::levels::Reaction;
    use super::*;

    fn rows(array: &Array2<f64>, j: usize) -> Rows<'_> {
        let row = |j: usize| array.row(j).to_slice().unwrap();
        Rows { below: row(j - 1), row: row(j), above: row(j + 1) }
    }

    /// Numbers without any symmetry, 0 on the sides.
    fn rough(grid: Grid) -> Array2<f64> {
        Array2::from_shape_fn(grid.shape(), |(j, i)| {
            let inner = (1..=grid.y.n).contains(&j) && (1..=grid.x.n).contains(&i);
            if inner { ((7 * i + 13 * j * j) as f64).sin() } else { 0.0 }
        })
    }

    fn interpolated(fine: Grid, coarse: &Array2<f64>) -> Array2<f64> {
        let mut made = Array2::zeros(fine.shape());
        let (zeros, mut folded) = (vec![0.0; fine.shape().1], vec![0.0; coarse.ncols()]);
        for j in 1..=fine.y.n {
            let new = made.row_mut(j).into_slice().unwrap();
            correct(fine, j, &zeros, |j| coarse.row(j).to_slice().unwrap(), &mut folded, new);
        }
        made
    }

    fn energy(grid: Grid, inverse: Option<&Array2<f64>>, u: &Array2<f64>) -> f64 {
        let mut left = vec![0.0; grid.shape().1];
        (1..=grid.y.n)
            .map(|j| {
                let inverse = inverse.map(|inverse| rows(inverse, j).row);
                let equation = Equation { weights: grid.weights(j), rhs: None, inverse };
                residual(equation, rows(u, j), &mut left);
                -u.row(j).iter().zip(&left).map(|(u, r)| u * r).sum::<f64>()
            })
            .sum()
    }

    fn grids() -> impl Iterator<Item = (Grid, Grid)> {
        let sizes = (1..=12).flat_map(|nx| (1..=12).map(move |ny| (nx, ny)));
        sizes.flat_map(|(nx, ny)| {
            let plate = Plate { nx, ny, top: 0.0, bottom: 0.0, left: 0.0, right: 0.0 };
            let mut grid = Grid::finest(&plate);
            std::iter::from_fn(move || {
                let fine = grid;
                grid = grid.coarser()?;
                Some((fine, grid))
            })
        })
    }

    #[test]
    fn restriction_is_the_transpose_of_interpolation() {
        for (fine, coarse) in grids() {
            let (r, e) = (rough(fine), rough(coarse));
            let mut restricted = Array2::zeros(coarse.shape());
            let mut folded = vec![0.0; fine.shape().1];
            for j in 1..=fine.y.n {
                if let Some(at) = coarse_row(fine.y, j) {
                    let row = restricted.row_mut(at).into_slice().unwrap();
                    restrict(fine, j, rows(&r, j), &mut folded, row);
                }
            }
            let (a, b) = ((&restricted * &e).sum(), (&r * &interpolated(fine, &e)).sum());
            assert!((a - b).abs() < 1e-12, "{fine:?}: {a} and {b}");
        }
    }

    #[test]
    fn no_coarse_function_has_less_energy_than_it_has_on_the_finer_grid() {
        for (fine, coarse) in grids() {
            for sparse in [2, 3, 5, 1000] {
                let held = Array2::from_shape_fn(fine.shape(), |(j, i)| {
                    u8::from((3 * i + 7 * j + i * j) % sparse == 0)
                });
                let reaction = Reaction::finest(held.view());
                let inverse = reaction.inverse(fine);
                let coarser = reaction.coarser(fine, coarse).inverse(coarse);
                let mut e = rough(coarse);
                e.zip_mut_with(&coarser, |e, inverse| *e = if *inverse == 0.0 { 0.0 } else { *e });
                let mut cut = interpolated(fine, &e);
                cut.zip_mut_with(&held, |e, held| *e = if *held == 0 { *e } else { 0.0 });
                let (here, there) =
                    (energy(fine, Some(&inverse), &cut), energy(coarse, Some(&coarser), &e));
                assert!(here <= there * (1.0 + 1e-12) + 1e-12, "{fine:?}: {here} > {there}");
            }
        }
    }
}
