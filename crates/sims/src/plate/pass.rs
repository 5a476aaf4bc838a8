//! A pass: several stages over a range of rows, done by a task or, in line, by the caller.
//!
//! The rows are cut into tiles of columns; each tile goes through all stages as a wavefront, in
//! memory that belongs to the worker.

use farm_shm::{ArrayRef, Band, Overwrite};
use ndarray::{ArrayView2, ArrayViewMut2, Ix2, s};
use serde::{Deserialize, Serialize};

use super::RowUpdate;
use super::laplacian::update_of;
use super::method::Rule;
use super::rows::hold;
use super::wavefront::{Tile, Window, tiles, wavefront};

/// The stages of a pass, one after the other, and what is measured of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pass {
    pub(crate) rules: Vec<Rule>,
    /// The number of last stages over which the updates of the rows are measured; nothing is
    /// measured if it is 0.
    pub(crate) measured: usize,
    /// The plate's last row.
    pub(crate) last: usize,
}

impl Pass {
    /// Makes the rows of `made`, starting with the plate's row `first`, and the same rows of one
    /// stage earlier in `back`. Returns the updates of the rows, or none if nothing is measured.
    pub(crate) fn run(
        &self,
        window: Window<'_>,
        held: Option<ArrayView2<'_, u8>>,
        first: usize,
        mut made: ArrayViewMut2<'_, f64>,
        mut back: Option<ArrayViewMut2<'_, f64>>,
    ) -> Vec<RowUpdate> {
        let rows = first..first + made.nrows();
        let width = made.ncols();
        let mut updates = vec![RowUpdate::NONE; if self.measured > 0 { rows.len() } else { 0 }];
        for tile in tiles(width, self.rules.len()) {
            let Tile { columns, around } = &tile;
            // Columns relative to those that the tile is made from.
            let inner = columns.start - around.start..columns.end - around.start;
            let cells = tile.with_neighbours(around.start, around.end);
            wavefront(
                window.of_tile(&tile),
                self.rules.len(),
                rows.clone(),
                made.slice_mut(s![.., columns.clone()]),
                |stage, j, from, new| {
                    self.rules[stage - 1].apply(j, from, new);
                    if let Some(held) = held {
                        let held = held.index_axis_move(ndarray::Axis(0), j - window.first);
                        let held = held.to_slice().expect("a row has gaps");
                        hold(&held[around.clone()], from.row, new);
                    }
                },
                |j, new, from, earlier| {
                    if let Some(back) = &mut back {
                        let row = back.row_mut(j - first).into_slice().expect("a row has gaps");
                        row[columns.clone()].copy_from_slice(&from.row[inner.clone()]);
                    }
                    if self.measured > 0 {
                        let old = if self.measured == 1 { from.row } else { earlier };
                        let update = update_of(&old[cells.clone()], &new[cells.clone()]);
                        updates[j - first].add(update);
                    }
                },
            );
        }
        updates
    }
}

/// The arrays and rules that a band is made from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BandInput {
    /// The plate's row that is the first row of the arrays below.
    pub(crate) first: usize,
    pub(crate) start: ArrayRef<f64, Ix2>,
    pub(crate) earlier: Option<ArrayRef<f64, Ix2>>,
    pub(crate) held: Option<ArrayRef<u8, Ix2>>,
    pub(crate) pass: Pass,
}

type OutputBand = Overwrite<f64, Ix2>;
type Rows = Band<f64, Ix2>;

/// The task: makes the rows of a band by all stages, and those of one stage earlier if they are
/// wanted.
pub(crate) fn sweep_band(
    (from, made, back): (BandInput, OutputBand, Option<OutputBand>),
) -> (Rows, Option<Rows>, Vec<RowUpdate>) {
    let BandInput { first, start, earlier, held, pass } = from;
    let (mut made, mut back) = (made.into_band(), back.map(Overwrite::into_band));
    let earlier = earlier.as_ref().map(ArrayRef::view);
    let window = Window { start: start.view(), earlier, first, last: pass.last, left: 0 };
    let held = held.as_ref().map(ArrayRef::view);
    let rows = made.rows().start;
    let updates = pass.run(window, held, rows, made.view_mut(), back.as_mut().map(Band::view_mut));
    (made, back, updates)
}
