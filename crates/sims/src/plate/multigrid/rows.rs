//! What multigrid does to a row.
//!
//! | function | makes |
//! |---|---|
//! | [`smooth`] | the cells of one colour anew from their equation |
//! | [`residual`] | r = f - A u, 0 where a cell is held |
//! | [`restrict`] | the right-hand side of a coarse row from three rows of r: the transpose of the interpolation |
//! | [`correct`] | u plus what is interpolated, bilinearly in the true distances, from the coarse grid |
//!
//! Additions and multiplications are rounded one by one, never fused, in an order that depends on the column alone.

use super::super::rows::at_full_width;
use super::super::wavefront::Rows;
use super::levels::{Axis, Grid, Weights};

/// Cells that are worked on at a time: an even number, as colours alternate.
const LANES: usize = 8;

/// The equation of a row's cells.
#[derive(Clone, Copy)]
pub(crate) struct Equation<'a> {
    /// Of all columns but the last, and of the last.
    pub(crate) weights: (Weights, Weights),
    /// The right-hand side, 0 if there is none.
    pub(crate) rhs: Option<&'a [f64]>,
    /// The reciprocals of the diagonal where cells are held; else they are those of the sums of the weights.
    pub(crate) inverse: Option<&'a [f64]>,
}

/// Solves the equations of the odd columns, or of the even ones, and copies the others.
pub(crate) fn smooth(equation: Equation<'_>, rows: Rows<'_>, odd: bool, new: &mut [f64]) {
    // Lane 0 is column 1.
    each(
        equation,
        rows,
        new,
        move |balance, inverse, _, t, lane| {
            if (lane % 2 == 0) == odd { balance * inverse } else { t }
        },
    );
}

/// What is left of the right-hand side, 0 on the sides and in held cells.
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

/// Gives `rule` f + the weighted sum of the neighbours, the diagonal's reciprocal, the sum of the weights, the cell and its lane.
#[inline(always)]
fn each(
    equation: Equation<'_>,
    rows: Rows<'_>,
    new: &mut [f64],
    rule: impl Fn(f64, f64, f64, f64, usize) -> f64 + Copy,
) {
    let Equation { weights, rhs, inverse } = equation;
    at_full_width(
        #[inline(always)]
        || match (rhs, inverse) {
            (None, None) => columns::<false, false>(weights, &[], &[], rows, new, rule),
            (Some(rhs), None) => columns::<true, false>(weights, rhs, &[], rows, new, rule),
            (None, Some(inverse)) => columns::<false, true>(weights, &[], inverse, rows, new, rule),
            (Some(rhs), Some(inverse)) => {
                columns::<true, true>(weights, rhs, inverse, rows, new, rule);
            }
        },
    );
}

#[inline(always)]
fn columns<const RHS: bool, const INVERSE: bool>(
    (weights, at_last): (Weights, Weights),
    rhs: &[f64],
    inverse: &[f64],
    rows: Rows<'_>,
    new: &mut [f64],
    rule: impl Fn(f64, f64, f64, f64, usize) -> f64,
) {
    let Rows { below, row, above, .. } = rows;
    let side = row.len() - 1;
    (new[0], new[side]) = (row[0], row[side]);
    // Where a row is not there, nothing reads it, and any other will do.
    let rhs = if RHS { rhs } else { row };
    let inverse = if INVERSE { inverse } else { row };

    let cell = |w: Weights, west, east, south, north, f, inv, diagonal, reciprocal, t, lane| {
        let sum = (w.west * west + w.east * east) + (w.south * south + w.north * north);
        let balance = if RHS { f + sum } else { sum };
        rule(balance, if INVERSE { inv } else { reciprocal }, diagonal, t, lane)
    };
    let last = side - 1;
    let (diagonal, reciprocal) = (weights.sum(), 1.0 / weights.sum());
    let (new_chunks, new_rest) = new[1..last].as_chunks_mut::<LANES>();
    let (west, west_rest) = row[..last - 1].as_chunks::<LANES>();
    let (centre, centre_rest) = row[1..last].as_chunks::<LANES>();
    let (east, east_rest) = row[2..=last].as_chunks::<LANES>();
    let (south, south_rest) = below[1..last].as_chunks::<LANES>();
    let (north, north_rest) = above[1..last].as_chunks::<LANES>();
    let (f, f_rest) = rhs[1..last].as_chunks::<LANES>();
    let (inv, inv_rest) = inverse[1..last].as_chunks::<LANES>();
    for (((((((new, w), e), s), n), t), f), i) in
        new_chunks.iter_mut().zip(west).zip(east).zip(south).zip(north).zip(centre).zip(f).zip(inv)
    {
        *new = std::array::from_fn(
            #[inline(always)]
            |l| cell(weights, w[l], e[l], s[l], n[l], f[l], i[l], diagonal, reciprocal, t[l], l),
        );
    }
    for l in 0..new_rest.len() {
        new_rest[l] = cell(
            weights,
            west_rest[l],
            east_rest[l],
            south_rest[l],
            north_rest[l],
            f_rest[l],
            inv_rest[l],
            diagonal,
            reciprocal,
            centre_rest[l],
            l,
        );
    }
    let i = last;
    new[i] = cell(
        at_last,
        row[i - 1],
        row[i + 1],
        below[i],
        above[i],
        rhs[i],
        inverse[i],
        at_last.sum(),
        1.0 / at_last.sum(),
        row[i],
        i - 1,
    );
}

/// The coarse row of which row `j` is the middle, if it is one.
pub(crate) fn coarse_row(y: Axis, j: usize) -> Option<usize> {
    match () {
        () if y.stays() => Some(j),
        () if j.is_multiple_of(2) => Some(j / 2),
        () => None,
    }
}

/// The right-hand side of the coarse row of which row `j` is the middle; `folded` is room for a row.
pub(crate) fn restrict(grid: Grid, j: usize, r: Rows<'_>, folded: &mut [f64], coarse: &mut [f64]) {
    at_full_width(
        #[inline(always)]
        || {
            let Rows { below, row, above, .. } = r;
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

/// Row `j` with the correction; `coarse` gives the coarse rows, and `folded` is room for one.
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
                // Before the first coarse row and behind the last there is a side.
                let behind = j == grid.y.n;
                let (south, north) = (coarse(j / 2), coarse(j / 2 + 1));
                let share = if behind { grid.y.last_share() } else { 0.5 };
                for ((mean, south), north) in folded.iter_mut().zip(south).zip(north) {
                    *mean = if behind { share * south } else { share * (south + north) };
                }
            },
        );
    }
    new.copy_from_slice(row);
    if grid.x.stays() {
        new[1] += folded[1];
        return;
    }
    let last = folded.len() - 2;
    for (pair, coarse) in new[1..=2 * last].as_chunks_mut::<2>().0.iter_mut().zip(folded.windows(2))
    {
        pair[0] += 0.5 * (coarse[0] + coarse[1]);
        pair[1] += coarse[1];
    }
    if 2 * last < grid.x.n {
        new[2 * last + 1] += grid.x.last_share() * folded[last];
    }
}
