//! Several sweeps at a time: each row goes through the cache once, and all sweeps pass over it one
//! behind the other.
//!
//! A stage makes row j of its temperatures from rows j - 1, j and j + 1 of the stage before it. So
//! stage s can make row j as soon as stage s - 1 has made row j + 1: all stages move up the plate
//! as one front, each a row behind the stage before it. From then on no stage reads row j of stage
//! s - 2, and row j of stage s takes its place in memory. So two ring buffers of rows suffice, one
//! for the odd stages and one for the even. Each holds one row more than there are stages, and both
//! stay in the cache however large the plate is.
//!
//! Where a window is cut from a plate, each stage makes one row and one column less at the cut than
//! the stage before it. So a task that makes cells by S stages reads S more rows and columns on
//! either side, and repeats the neighbours' computations there. Every cell comes from the same
//! operations on the same numbers wherever the cuts are, so its bits do not depend on them. Workers
//! share a plate by rows; each worker cuts its rows into [`tiles`] of columns, narrow enough for
//! the fast caches to hold their rows.
//!
//! Source: the scheme of Wellein, Hager, Zeiser, Wittmann and Fehske, Efficient temporal blocking
//! for stencil computations by multicore-aware wavefront parallelization, COMPSAC (2009) 579, with
//! one thread for all stages.

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, s};

/// Numbers in a cache line.
const LINE: usize = 8;
/// The approximate number of columns of a tile. The ring buffers of 32 stages then take 0.6 MB,
/// which fits a second-level cache, and the columns that neighbouring tiles compute twice are a
/// sixteenth.
const TILE: usize = 1024;

/// The three rows that a stage makes a row from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// Row j - 1 of the stage before.
    pub(crate) below: &'a [f64],
    /// Row j of the stage before.
    pub(crate) row: &'a [f64],
    /// Row j + 1 of the stage before.
    pub(crate) above: &'a [f64],
}

/// Rows of a plate before the first stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// The rows of the window, sides included.
    pub(crate) start: ArrayView2<'a, f64>,
    /// The same rows one stage earlier, for rules that use them.
    pub(crate) earlier: Option<ArrayView2<'a, f64>>,
    /// The plate's row that is the window's first row.
    pub(crate) first: usize,
    /// The plate's last row. This row and row 0 are sides, which no stage changes.
    pub(crate) last: usize,
    /// The window's first column that is made; above 0 where the plate continues to the left of the
    /// window.
    pub(crate) left: usize,
}

impl<'a> Window<'a> {
    fn start(&self, j: usize) -> &'a [f64] {
        in_one_piece(self.start, j - self.first)
    }

    fn earlier(&self, j: usize) -> &'a [f64] {
        self.earlier.map_or(&[], |rows| in_one_piece(rows, j - self.first))
    }

    /// The columns of this window that a tile is made from.
    pub(crate) fn of_tile(&self, tile: &Tile) -> Self {
        let cut = |rows: ArrayView2<'a, f64>| rows.slice_move(s![.., tile.around.clone()]);
        Self {
            start: cut(self.start),
            earlier: self.earlier.map(cut),
            left: tile.columns.start - tile.around.start,
            ..*self
        }
    }
}

/// A range of columns that go through all stages together.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    /// The columns that are made.
    pub(crate) columns: Range<usize>,
    /// The columns that they are made from.
    pub(crate) around: Range<usize>,
}

impl Tile {
    /// The tile's columns and one more on either side, counted from `first` in the piece of the
    /// plate from `first` to `end`.
    pub(crate) fn with_neighbours(&self, first: usize, end: usize) -> Range<usize> {
        self.columns.start.max(first + 1) - 1 - first..(self.columns.end + 1).min(end) - first
    }
}

/// Cuts the columns of rows of `width` numbers, sides included, into tiles for `stages` stages.
pub(crate) fn tiles(width: usize, stages: usize) -> impl Iterator<Item = Tile> {
    let lines = width.div_ceil(LINE);
    let count = ((width + TILE / 2) / TILE).max(1);
    let start = move |i: usize| i * lines / count * LINE;
    // The margin is a number of whole cache lines, so that a column keeps its parity and its offset
    // within a line.
    let margin = stages.next_multiple_of(LINE);
    (0..count).map(move |i| {
        let columns = start(i)..start(i + 1).min(width);
        Tile {
            around: columns.start.saturating_sub(margin)..(columns.end + margin).min(width),
            columns,
        }
    })
}

/// The rows that a window must hold so that `stages` stages can make `rows`.
pub(crate) fn reach(rows: &Range<usize>, stages: usize, last: usize) -> Range<usize> {
    rows.start.saturating_sub(stages)..(rows.end + stages).min(last + 1)
}

/// Makes `rows` of a plate by `stages` stages, from the window around them.
///
/// `rule` makes one row of a stage. Its arguments are the stage s, counted from 1, the row's number
/// j, the rows that it is made from, and the place that it is written to. If the window has
/// `earlier` rows, the place holds row j of stage s - 2 when `rule` is called. `done` is called for
/// each row of the last stage S, in ascending order. Its arguments are the row's number j, the row,
/// the rows that it was made from, and row j of stage S - 2, which is empty if there is none.
///
/// `rule` must copy the first and the last cell of a row unchanged. Where the plate continues
/// beyond such a cell, its value is wrong after the stage, and each stage makes one more column
/// wrong: these columns are left out of `made`.
///
/// # Shapes
///
/// `made: (rows.len(), columns)`, where the columns are those wanted, from [`Window::left`] on. The
/// window must have the rows of [`reach`].
pub(crate) fn wavefront(
    window: Window<'_>,
    stages: usize,
    rows: Range<usize>,
    mut made: ArrayViewMut2<'_, f64>,
    mut rule: impl FnMut(usize, usize, Rows<'_>, &mut [f64]),
    mut done: impl FnMut(usize, &mut [f64], Rows<'_>, &[f64]),
) {
    let last = window.last;
    let needed = reach(&rows, stages, last);
    assert!(stages > 0 && rows.start > 0 && rows.end <= last, "no stage makes the sides");
    assert!(window.first <= needed.start && needed.end <= window.first + window.start.nrows());
    let width = window.start.ncols();
    let columns = window.left..window.left + made.ncols();
    assert!(made.nrows() == rows.len() && columns.end <= width, "the rows do not fit the window");

    let (is_cut, looks_back) = (columns.len() < width, window.earlier.is_some());
    let (stride, kept) = (stride(width), stages + 1);
    ROOM.with_borrow_mut(|room| {
        let rings = if stages > 1 { 2 * kept } else { 0 };
        let length = (usize::from(is_cut) + rings) * stride + LINE;
        if room.len() < length {
            room.resize(length, 0.0);
        }
        // Aligns column 1 to a cache line.
        let skip = (room.as_ptr().align_offset(8 * LINE) + LINE - 1) % LINE;
        let (rings, wider) = room[skip..].split_at_mut(rings * stride);
        let (odd, even) = rings.split_at_mut(rings.len() / 2);
        for front in needed.start + 1..rows.end + stages - 1 {
            for stage in 1..=stages.min(front) {
                let j = front - stage + 1;
                let ahead = stages - stage;
                let range = rows.start.saturating_sub(ahead).max(1)..(rows.end + ahead).min(last);
                if !range.contains(&j) {
                    continue;
                }
                let (before, own) =
                    if stage % 2 == 1 { (&*even, &mut *odd) } else { (&*odd, &mut *even) };
                let of = |j: usize| -> &[f64] {
                    if stage == 1 || j == 0 || j == last {
                        window.start(j)
                    } else {
                        &before[j % kept * stride..][..width]
                    }
                };
                let from = Rows { below: of(j - 1), row: of(j), above: of(j + 1) };
                let in_ring = j % kept * stride;
                let earlier = match stage {
                    1 => Some(window.earlier(j)),
                    2 => Some(window.start(j)),
                    _ => None,
                };
                if stage < stages {
                    let place = &mut own[in_ring..][..width];
                    if let Some(earlier) = earlier.filter(|_| looks_back) {
                        place.copy_from_slice(earlier);
                    }
                    rule(stage, j, from, place);
                } else {
                    let earlier = earlier.unwrap_or_else(|| &own[in_ring..][..width]);
                    let mut row = made.row_mut(j - rows.start);
                    let row = row.as_slice_mut().expect("a row has gaps");
                    let place = if is_cut { &mut wider[..width] } else { &mut *row };
                    if looks_back {
                        place.copy_from_slice(earlier);
                    }
                    rule(stage, j, from, place);
                    done(j, place, from, earlier);
                    if is_cut {
                        row.copy_from_slice(&wider[columns.clone()]);
                    }
                }
            }
        }
    });
}

thread_local! {
    /// The ring buffers of the stages. All tasks of a worker reuse them, because touching fresh
    /// memory costs more than the work done in it.
    static ROOM: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// The distance from one row to the next, in numbers: an odd number of whole cache lines, because
/// rows whose addresses agree in their last twelve bits conflict with each other.
fn stride(width: usize) -> usize {
    (width.div_ceil(LINE) | 1) * LINE
}

fn in_one_piece(rows: ArrayView2<'_, f64>, j: usize) -> &[f64] {
    rows.index_axis_move(ndarray::Axis(0), j).to_slice().expect("a row has gaps")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_rows_of_any_length_once() {
        for width in (2..6000).chain([133_121, 133_128, 200_002, 500_002, 1_000_003]) {
            for stages in [1, 32] {
                let mut end = 0;
                for Tile { columns, around } in tiles(width, stages) {
                    assert_eq!(columns.start, end, "{width}");
                    assert!(columns.len() >= TILE / 2 || columns.len() == width, "{width}");
                    assert!(around.start == 0 || around.start + stages <= columns.start);
                    assert!(around.end == width || around.end >= columns.end + stages);
                    end = columns.end;
                }
                assert_eq!(end, width);
            }
        }
    }
}
