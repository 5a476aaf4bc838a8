//! What a stage does to a row: the rules that all methods are made of.
//!
//! With m = (T_left + T_right + T_below + T_above) / 4, and T the cell itself:
//!
//! | rule | new T |
//! |---|---|
//! | [`mean`] | m |
//! | [`colour`] | T + omega (m - T) where the cell has the colour, T elsewhere |
//! | [`beyond`] | T_earlier + omega (m - T_earlier) |
//! | [`euler`] | T + 4 r (m - T) |
//!
//! The first and the last cell are sides of the plate and are copied. Additions and multiplications
//! are rounded one by one, never fused, so a processor's widest instructions give the same bits as
//! its narrowest.

use super::wavefront::Rows;

/// The mean of the four neighbours.
pub(crate) fn mean(rows: Rows<'_>, new: &mut [f64]) {
    each(rows, new, |m, _, _, _| m);
}

/// Moves the cells of one colour by `omega` times their difference from the mean. The colour has
/// the odd columns if `odd` is true, and the even ones otherwise.
pub(crate) fn colour(rows: Rows<'_>, odd: bool, omega: f64, new: &mut [f64]) {
    // `i` is the column less one.
    each(rows, new, move |m, t, _, i| if (i % 2 == 0) == odd { t + omega * (m - t) } else { t });
}

/// Moves T_earlier, the cell two stages earlier, by `omega` times its difference from the mean.
/// `new` holds T_earlier on entry.
pub(crate) fn beyond(rows: Rows<'_>, omega: f64, new: &mut [f64]) {
    each(rows, new, move |m, _, earlier, _| earlier + omega * (m - earlier));
}

/// A step of explicit Euler; `ratio` is the time step over the square of the distance between
/// cells.
pub(crate) fn euler(rows: Rows<'_>, ratio: f64, new: &mut [f64]) {
    let weight = 4.0 * ratio;
    each(rows, new, move |m, t, _, _| t + weight * (m - t));
}

/// Gives the held cells of `new` their former temperature, from `row`.
pub(crate) fn hold(held: &[u8], row: &[f64], new: &mut [f64]) {
    at_full_width(
        #[inline(always)]
        || {
            for ((new, old), held) in new.iter_mut().zip(row).zip(held) {
                *new = if *held == 0 { *new } else { *old };
            }
        },
    );
}

/// Computes each cell by `rule`, whose arguments are the mean, the cell, the former value of its
/// place in `new`, and the column less one.
#[inline(always)]
fn each(rows: Rows<'_>, new: &mut [f64], rule: impl Fn(f64, f64, f64, usize) -> f64) {
    at_full_width(
        #[inline(always)]
        move || {
            let Rows { below, row, above } = rows;
            let last = row.len() - 1;
            (new[0], new[last]) = (row[0], row[last]);
            let cells = last - 1;
            let new = &mut new[1..][..cells];
            let (left, centre, right) = (&row[..cells], &row[1..][..cells], &row[2..][..cells]);
            let (below, above) = (&below[1..][..cells], &above[1..][..cells]);
            for i in 0..cells {
                let mean = 0.25 * ((left[i] + right[i]) + (below[i] + above[i]));
                new[i] = rule(mean, centre[i], new[i], i);
            }
        },
    );
}

/// Runs a loop with the widest instructions that this processor has.
#[inline(always)]
pub(crate) fn at_full_width<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}
