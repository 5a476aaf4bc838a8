//! Several sweeps at a time: rows go through the cache once, and all of the sweeps follow each other over them.
//!
//! A stage makes row j of its temperatures from rows j - 1, j and j + 1 of the stage before it. So stage s can make row j as soon
//! as stage s - 1 has made row j + 1: all stages move up the plate as one front, each a row behind the stage before it.
//! Nobody asks for row j of stage s - 2 from then on, and row j of stage s takes its place. So two rings of rows are all that is
//! kept, one for the odd stages and one for the even: a row more than there are stages in each, which stay in the cache, however
//! large the plate is.
//!
//! Where a window is cut from a plate, each stage has one row less at the cut than the stage before it, and one column less. So
//! whoever makes some cells by S stages reads S rows and columns more on either side, and computes again what the neighbours do
//! there too. Every cell comes from the same operations on the same numbers wherever the cuts are: its bits do not depend on them.
//! Workers share a plate by rows; each cuts its own into [`tiles`] of some columns, whose rows the fastest caches can hold.
//!
//! Source: the scheme of Wellein, Hager, Zeiser, Wittmann and Fehske, Efficient temporal blocking for stencil computations by
//! multicore-aware wavefront parallelization, COMPSAC (2009) 579, with one thread for all stages.

use std::cell::RefCell;
use std::ops::Range;

use ndarray::{ArrayView2, ArrayViewMut2, s};

/// Numbers in a line of the cache.
const LINE: usize = 8;
/// Columns of a tile, more or less. The rings of 32 stages then take 0.6 MB, which second caches hold, and the columns that
/// neighbours compute too are a sixteenth.
const TILE: usize = 1024;

/// What a stage makes a row from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a> {
    /// Row j - 1 of the stage before.
    pub(crate) below: &'a [f64],
    /// Row j of the stage before.
    pub(crate) row: &'a [f64],
    /// Row j + 1 of the stage before.
    pub(crate) above: &'a [f64],
}

/// Rows of a plate at the start of some stages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window<'a> {
    /// Those of the window, sides included.
    pub(crate) start: ArrayView2<'a, f64>,
    /// The same rows one stage earlier, where a rule asks for them.
    pub(crate) earlier: Option<ArrayView2<'a, f64>>,
    /// Which row of the plate the first one is.
    pub(crate) first: usize,
    /// The plate's last row: that and row 0 are sides, which no stage changes.
    pub(crate) last: usize,
    /// Which column of the window is the first that is made: above 0 where the plate goes on to the left of the window.
    pub(crate) left: usize,
}

impl<'a> Window<'a> {
    fn start(&self, j: usize) -> &'a [f64] {
        in_one_piece(self.start, j - self.first)
    }

    fn earlier(&self, j: usize) -> &'a [f64] {
        self.earlier.map_or(&[], |rows| in_one_piece(rows, j - self.first))
    }

    /// What a tile of this window is made from.
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

/// Columns that go through all stages together.
#[derive(Clone, Debug)]
pub(crate) struct Tile {
    /// Those that are made.
    pub(crate) columns: Range<usize>,
    /// Those that they are made from.
    pub(crate) around: Range<usize>,
}

impl Tile {
    /// Its columns and one more on either side, as columns of the piece of the plate from `first` to `end`.
    pub(crate) fn with_neighbours(&self, first: usize, end: usize) -> Range<usize> {
        self.columns.start.max(first + 1) - 1 - first..(self.columns.end + 1).min(end) - first
    }
}

/// Cuts the columns of rows that long, sides included, into tiles for so many stages.
pub(crate) fn tiles(width: usize, stages: usize) -> impl Iterator<Item = Tile> {
    let lines = width.div_ceil(LINE);
    let count = ((width + TILE / 2) / TILE).max(1);
    let start = move |i: usize| i * lines / count * LINE;
    // Whole lines, so that no column changes its place within one, nor between odd and even.
    let margin = stages.next_multiple_of(LINE);
    (0..count).map(move |i| {
        let columns = start(i)..start(i + 1).min(width);
        Tile {
            around: columns.start.saturating_sub(margin)..(columns.end + margin).min(width),
            columns,
        }
    })
}

/// The rows that a window must hold for `rows` to be made by so many stages.
pub(crate) fn reach(rows: &Range<usize>, stages: usize, last: usize) -> Range<usize> {
    rows.start.saturating_sub(stages)..(rows.end + stages).min(last + 1)
}

/// Makes `rows` of a plate by `stages` stages, from the window around them.
///
/// `rule` makes a row of a stage, the first being 1; it is given the stage, the row's number, what it is made from, and where it goes. Where
/// the window says what was earlier, it finds there row j of the stage before the last. `done` is told of each row of the last stage in
/// ascending order, with what that was made from and row j of the stage before the last, which is empty where nothing was.
///
/// The first and the last of a row that `rule` makes must stay as they are. Where the plate goes on there, they become wrong, and
/// in each stage one column more: those are left out of `made`.
///
/// # Shapes
///
/// `made: (rows.len(), columns)`, the columns being those from [`Window::left`] on that are wanted; the window has the rows of [`reach`].
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
        // Column 1 begins a line.
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
    /// The rows that the stages keep. Tasks of one worker take turns with it: fresh memory costs more than the work in it.
    static ROOM: RefCell<Vec<f64>> = const { RefCell::new(Vec::new()) };
}

/// Numbers from one row to the next: whole lines of the cache, and an odd number of them, as rows whose addresses agree in
/// their last twelve bits are in each other's way.
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
