//! The work on a level, done by the caller's thread or by a farm with one band of rows per worker.

use std::ops::Range;

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{Array2, Ix2};
use serde::{Deserialize, Serialize};

use super::super::Mask;
use super::super::Plate;
use super::levels::{Grid, Reaction};
use super::work::{Here, LevelOp, Made, RowReport};
use crate::SimError;

/// The number of cells below which the caller's thread does all work on a plate: a pass then takes
/// so little time that the system may not even have put two workers on two cores.
pub const IN_LINE_BELOW: usize = 512 * 512;
/// The same limit for the coarser levels of larger plates. Their workers are awake already, so only
/// the time for sending a task and receiving its result counts.
const LEVEL_IN_LINE_BELOW: usize = 160 * 160;

/// An array of a level; `None` during a pass on a farm, and after such a pass has failed.
pub(crate) type Field = Option<SharedArray<f64, Ix2>>;

/// A grid and the constants of its equations.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) grid: Grid,
    pub(crate) coarser: Option<Grid>,
    inverse: Option<ArrayRef<f64, Ix2>>,
    small: bool,
}

impl Level {
    /// Creates all levels, the finest first; the last one has a single cell.
    pub(crate) fn all(plate: &Plate, mask: Option<&Mask>) -> Result<Vec<Self>, SimError> {
        let mask = mask.filter(|mask| mask.held_cells() > 0);
        let mut reaction = mask.map(|mask| Reaction::finest(mask.held()));
        let mut levels = Vec::new();
        let mut next = Some(Grid::finest(plate));
        while let Some(grid) = next {
            let share = |inverse: Array2<f64>| SharedArray::from_array(&inverse);
            let inverse = reaction.as_ref().map(|r| share(r.inverse(grid))).transpose()?;
            next = grid.coarser();
            if let (Some(fine), Some(coarse)) = (&reaction, next) {
                reaction = Some(fine.coarser(grid, coarse));
            }
            let small = plate.nx.saturating_mul(plate.ny) < IN_LINE_BELOW
                || grid.x.n.saturating_mul(grid.y.n) < LEVEL_IN_LINE_BELOW;
            let inverse = inverse.map(SharedArray::freeze);
            levels.push(Self { grid, coarser: next, inverse, small });
        }
        Ok(levels)
    }

    /// An array of zeros.
    pub(crate) fn field(&self) -> Result<Field, SimError> {
        Ok(Some(SharedArray::zeros(self.grid.shape())?))
    }

    /// Whether the plate has held cells.
    pub(crate) fn holds(&self) -> bool {
        self.inverse.is_some()
    }

    /// Whether the caller's thread does the work, which it also does if the farm has a single
    /// worker.
    pub(crate) fn inline(&self, farm: &impl Farm) -> bool {
        self.small || farm.workers() == 1
    }

    /// Does `work` on all rows: reads `taken`, and writes `made`.
    ///
    /// # Errors
    ///
    /// The first error of a task. The arrays are then lost.
    pub(crate) fn pass<const T: usize, const M: usize>(
        &self,
        farm: &impl Farm,
        work: LevelOp,
        taken: [&mut Field; T],
        made: [&mut Field; M],
    ) -> Result<RowReport, SimError> {
        if self.inline(farm) {
            return self.pass_inline(work, taken, made);
        }
        let bands = self.bands(farm);
        let mut refs = Vec::with_capacity(T);
        let mut back = Vec::with_capacity(T);
        for field in taken {
            let array = field.take().ok_or(SimError::Failed)?.freeze();
            refs.push(array.clone());
            back.push((field, array));
        }
        let mut splits = Vec::with_capacity(M);
        let mut of_tasks: Vec<Vec<_>> = bands.iter().map(|_| Vec::with_capacity(M)).collect();
        for (place, field) in made.into_iter().enumerate() {
            let array = field.take().ok_or(SimError::Failed)?;
            let coarse = place > 0 && matches!(work, LevelOp::Descend { .. });
            let ranges: Vec<_> = bands
                .iter()
                .map(|band| if coarse { &band.coarse } else { &band.fine }.clone())
                .collect();
            let (split, parts) = array.split(ranges).map_err(|_| SimError::Failed)?;
            for (task, part) in of_tasks.iter_mut().zip(parts) {
                task.push(part.overwrite());
            }
            splits.push((field, split));
        }
        let tasks = bands.into_iter().zip(of_tasks).map(|(band, made)| {
            let job = Job {
                work,
                grid: self.grid,
                rows: band.fine,
                inverse: self.inverse.clone(),
                taken: refs.clone(),
            };
            (job, made)
        });
        let tasks: Vec<_> = tasks.collect();
        drop(refs);
        let mut told = Vec::new();
        let mut joined: Vec<Vec<_>> = splits.iter().map(|_| Vec::new()).collect();
        for (made, of_rows) in farm.map(work_on_band, tasks)? {
            for (joined, band) in joined.iter_mut().zip(made) {
                joined.push(band);
            }
            told.extend(of_rows);
        }
        for ((field, split), bands) in splits.into_iter().zip(joined) {
            *field = Some(split.join(bands).map_err(|_| SimError::Failed)?);
        }
        for (field, array) in back {
            *field = Some(array.thaw().map_err(|_| SimError::Failed)?);
        }
        Ok(RowReport::of_all(told))
    }

    fn pass_inline<const T: usize, const M: usize>(
        &self,
        work: LevelOp,
        taken: [&mut Field; T],
        mut made: [&mut Field; M],
    ) -> Result<RowReport, SimError> {
        let mut views = Vec::with_capacity(T);
        for field in &taken {
            views.push(field.as_ref().ok_or(SimError::Failed)?.view());
        }
        let mut rooms = Vec::with_capacity(M);
        for field in &mut made {
            let view = field.as_mut().ok_or(SimError::Failed)?.view_mut();
            let last = view.nrows() - 1;
            rooms.push(Made { first: 1, rows: view.slice_move(ndarray::s![1..last, ..]) });
        }
        let inverse = self.inverse.as_ref().map(ArrayRef::view);
        let here = Here { grid: self.grid, inverse };
        Ok(RowReport::of_all(here.work(work, 1..self.grid.y.n + 1, &views, &mut rooms)))
    }

    /// The rows of this level and of the coarser one for each worker. A worker that has coarse rows
    /// also has the fine rows under them.
    fn bands(&self, farm: &impl Farm) -> Vec<Rows> {
        let n = self.grid.y.n;
        let Some(coarser) = self.coarser.filter(|coarser| coarser.y != self.grid.y) else {
            let rows = farm.distribute(n).into_iter().map(|r| r.start + 1..r.end + 1);
            return rows.map(|rows| Rows { fine: rows.clone(), coarse: rows }).collect();
        };
        let all = farm.distribute(coarser.y.n);
        let last = all.len() - 1;
        let rows = all.into_iter().enumerate().map(|(at, r)| {
            let end = if at == last { n + 1 } else { 2 * r.end + 1 };
            Rows { fine: 2 * r.start + 1..end, coarse: r.start + 1..r.end + 1 }
        });
        rows.collect()
    }
}

struct Rows {
    fine: Range<usize>,
    coarse: Range<usize>,
}

/// The work on one band, with the arrays that it reads.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    work: LevelOp,
    grid: Grid,
    rows: Range<usize>,
    inverse: Option<ArrayRef<f64, Ix2>>,
    taken: Vec<ArrayRef<f64, Ix2>>,
}

/// The task: does the job on its rows, and returns the rows it has made and the reports of them.
fn work_on_band(
    (job, made): (Job, Vec<Overwrite<f64, Ix2>>),
) -> (Vec<Band<f64, Ix2>>, Vec<RowReport>) {
    let mut made: Vec<_> = made.into_iter().map(Overwrite::into_band).collect();
    let mut rooms: Vec<_> = made
        .iter_mut()
        .map(|band| Made { first: band.rows().start, rows: band.view_mut() })
        .collect();
    let taken: Vec<_> = job.taken.iter().map(ArrayRef::view).collect();
    let here = Here { grid: job.grid, inverse: job.inverse.as_ref().map(ArrayRef::view) };
    let told = here.work(job.work, job.rows, &taken, &mut rooms);
    (made, told)
}
