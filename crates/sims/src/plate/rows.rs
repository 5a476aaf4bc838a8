//! What becomes of a row in one stage: the rules that all methods are made of.
//!
//! With m = (T_left + T_right + T_below + T_above) / 4, f the heat that is put in, if any, and T the cell itself:
//!
//! | rule | new T |
//! |---|---|
//! | [`mean`] | m |
//! | [`colour`] | T + omega (m - T) where the cell has the colour, T elsewhere |
//! | [`beyond`] | T_earlier + omega (m - T_earlier) |
//! | [`euler`] | T + 4 r (m - T) |
//!
//! The first and the last cell are sides of the plate and stay. Additions and multiplications are rounded one by one, never
//! fused: so a processor's widest instructions give the same bits as its narrowest.

use super::wavefront::Rows;

/// The mean of the four neighbours.
pub(crate) fn mean(rows: Rows<'_>, new: &mut [f64]) {
    each(rows, new, |m, _, _, _| m);
}

/// Moves the cells of one colour by `omega` times what they differ from the mean; `odd` says whether those are the odd columns.
pub(crate) fn colour(rows: Rows<'_>, odd: bool, omega: f64, new: &mut [f64]) {
    // Lane 0 is column 1.
    each(rows, new, move |m, t, _, i| if (i % 2 == 0) == odd { t + omega * (m - t) } else { t });
}

/// Goes on from the stage before the last, which is in `new`, by `omega` times what it differs from the mean of the last.
pub(crate) fn beyond(rows: Rows<'_>, omega: f64, new: &mut [f64]) {
    each(rows, new, move |m, _, earlier, _| earlier + omega * (m - earlier));
}

/// A step of explicit Euler, `ratio` being its time over the square of the cells' distance.
pub(crate) fn euler(rows: Rows<'_>, ratio: f64, new: &mut [f64]) {
    let weight = 4.0 * ratio;
    each(rows, new, move |m, t, _, _| t + weight * (m - t));
}

/// Gives the cells that are held the temperature that they had.
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

/// Gives `rule` the mean, the cell, what is in its place in `new`, and the column less one.
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
