//! Sweeps on a farm: one band of rows per worker, several sweeps at a time.
//!
//! Two arrays take turns. A task reads its rows of the frozen one and as many more on either side as there are stages, goes
//! through all stages as a [`wavefront`] in room of its own, and writes its band of the other: so nobody reads what somebody
//! writes. The farm carries handles and, once in a while, one [`RowUpdate`] per row, never the temperatures.

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{ArrayView2, ArrayViewMut2, Ix2};
use serde::{Deserialize, Serialize};

use super::laplacian::update_of;
use super::method::{Rule, Schedule};
use super::rows::hold;
use super::wavefront::{Window, reach, wavefront};
use super::{Method, Plate, RowUpdate, Update, norms};
use crate::SimError;

/// Bytes that the rows of all stages may take together: half of the second cache of a usual core.
const CACHE: usize = 1 << 20;
/// Stages that are worth it: the more there are, the more rows neighbours compute twice.
const MOST_STAGES: usize = 32;
/// With fewer cells than this the sweeps run on the caller's thread: the way to a worker and back would take longer than half of
/// the sweeps.
pub const IN_LINE_BELOW: usize = 128 * 128;

/// A plate on its way through sweeps.
///
/// # Examples
///
/// ```
/// use sims::plate::{Method, Plate, Relaxation};
///
/// let farm = farm_mono::Pool::new()?;
/// let plate = Plate { nx: 30, ny: 20, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let start = Relaxation::new(&plate, Method::Jacobi)?;
/// let (relaxation, update) = start.advance(&farm, 1)?;
/// assert_eq!(update.linf, 25.0);
/// assert_eq!(relaxation.temperatures()[[20, 1]], 25.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Relaxation {
    schedule: Schedule,
    now: State,
    /// Room for the state after the next stages.
    room: State,
    held: Option<ArrayRef<u8, Ix2>>,
    sweeps: usize,
}

/// Temperatures, and those of one stage earlier where the method looks back to them.
#[derive(Debug)]
struct State {
    last: SharedArray<f64, Ix2>,
    earlier: Option<SharedArray<f64, Ix2>>,
}

impl State {
    fn new(plate: &Plate, looks_back: bool) -> Result<Self, SimError> {
        let zeros = || SharedArray::zeros(plate.shape());
        Ok(Self { last: zeros()?, earlier: looks_back.then(zeros).transpose()? })
    }

    fn copy(&mut self, from: &Self) {
        self.last.view_mut().assign(&from.last.view());
        if let Some(earlier) = &mut self.earlier {
            earlier.view_mut().assign(&from.last.view());
        }
    }
}

impl Relaxation {
    /// A plate with its sides at their temperatures around cells at zero.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    pub fn new(plate: &Plate, method: Method) -> Result<Self, SimError> {
        Self::with(plate, method, None, |temperatures| plate.fill_sides(temperatures))
    }

    /// A plate with the temperatures that `fill` writes over zeros. Those of the sides, and of cells whose `held` is not 0, stay.
    ///
    /// # Shapes
    ///
    /// What is filled, and `held`, are `(ny + 2, nx + 2)`.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    ///
    /// # Panics
    ///
    /// When `held` has another shape.
    pub fn with(
        plate: &Plate,
        method: Method,
        held: Option<ArrayView2<'_, u8>>,
        fill: impl FnOnce(ArrayViewMut2<'_, f64>),
    ) -> Result<Self, SimError> {
        assert!(held.is_none_or(|held| held.dim() == plate.shape()), "held does not fit the plate");
        let schedule = Schedule::new(method, plate);
        let mut now = State::new(plate, schedule.looks_back())?;
        let mut room = State::new(plate, schedule.looks_back())?;
        let held = held.map(|held| SharedArray::from_array(&held)).transpose()?;
        fill(now.last.view_mut());
        room.copy(&now);
        if let Some(earlier) = &mut now.earlier {
            earlier.view_mut().assign(&now.last.view());
        }
        Ok(Self { schedule, now, room, held: held.map(SharedArray::freeze), sweeps: 0 })
    }

    /// Goes over the plate `sweeps` times, and tells how much the last of them has changed.
    ///
    /// # Errors
    ///
    /// The first error of a task. The temperatures are then lost.
    pub fn advance(mut self, farm: &impl Farm, sweeps: usize) -> Result<(Self, Update), SimError> {
        let at_a_time = self.sweeps_at_a_time();
        let mut left = sweeps;
        let mut update = Update { linf: 0.0, l2: 0.0 };
        while left > 0 {
            let now = left.min(at_a_time);
            left -= now;
            let pass = Pass {
                rules: self.schedule.next(now),
                measured: if left == 0 { self.schedule.stages() } else { 0 },
                last: self.now.last.shape()[0] - 1,
            };
            let updates;
            (self, updates) = self.pass(farm, pass)?;
            self.sweeps += now;
            if left == 0 {
                update = norms(updates.into_iter());
            }
        }
        Ok((self, update))
    }

    /// The temperatures, sides included, as [`Plate::shape`].
    pub fn temperatures(&self) -> ArrayView2<'_, f64> {
        self.now.last.view()
    }

    /// How often the plate has been gone over.
    #[must_use]
    pub fn sweeps(&self) -> usize {
        self.sweeps
    }

    /// Whether the sweeps run on the caller's thread, the plate being small.
    #[must_use]
    pub fn inline(&self) -> bool {
        self.now.last.view().len() < IN_LINE_BELOW
    }

    /// As many as pass through the cache together.
    fn sweeps_at_a_time(&self) -> usize {
        let row = 3 * 8 * self.now.last.shape()[1];
        (CACHE / row).clamp(2, MOST_STAGES) / self.schedule.stages()
    }

    /// Goes through the stages of one pass.
    fn pass(mut self, farm: &impl Farm, pass: Pass) -> Result<(Self, Vec<RowUpdate>), SimError> {
        if self.inline() {
            let held = self.held.as_ref().map(ArrayRef::view);
            let earlier = self.now.earlier.as_ref().map(SharedArray::view);
            let window = Window { start: self.now.last.view(), earlier, first: 0, last: pass.last };
            let inner = ndarray::s![1..pass.last, ..];
            let mut room = (self.room.last.view_mut(), self.room.earlier.as_mut());
            let updates = pass.run(
                window,
                held,
                1,
                room.0.slice_mut(inner),
                room.1.as_mut().map(|array| array.view_mut().slice_move(inner)),
            );
            std::mem::swap(&mut self.now, &mut self.room);
            return Ok((self, updates));
        }

        let reaches: Vec<_> =
            farm.distribute(pass.last - 1).into_iter().map(|r| r.start + 1..r.end + 1).collect();
        let start = self.now.last.freeze();
        let earlier = self.now.earlier.map(SharedArray::freeze);
        let (last, last_bands) =
            self.room.last.split(reaches.clone()).map_err(|_| SimError::Failed)?;
        let (back, back_bands) = match self.room.earlier {
            Some(array) => {
                let (split, bands) = array.split(reaches).map_err(|_| SimError::Failed)?;
                (Some(split), bands.into_iter().map(|band| Some(band.overwrite())).collect())
            }
            None => (None, last_bands.iter().map(|_| None).collect::<Vec<_>>()),
        };
        let tasks = last_bands.into_iter().zip(back_bands).map(|(band, back)| {
            let needed = reach(&band.rows(), pass.rules.len(), pass.last);
            let slice = |array: &ArrayRef<f64, Ix2>| array.clone().slice(needed.clone());
            let held = self.held.as_ref().map(|held| held.clone().slice(needed.clone()));
            let from = From {
                first: needed.start,
                start: slice(&start),
                earlier: earlier.as_ref().map(slice),
                held,
                pass: pass.clone(),
            };
            (from, band.overwrite(), back)
        });
        let mut bands = (Vec::new(), Vec::new());
        let mut updates = Vec::new();
        for (band, back, of_band) in farm.map(sweep_band, tasks)? {
            bands.0.push(band);
            bands.1.extend(back);
            updates.extend(of_band);
        }
        let thaw = |array: ArrayRef<f64, Ix2>| array.thaw().map_err(|_| SimError::Failed);
        self.room = State { last: thaw(start)?, earlier: earlier.map(thaw).transpose()? };
        let join = |split: farm_shm::Split<f64, Ix2>, bands| {
            split.join(bands).map_err(|_| SimError::Failed)
        };
        let back = back.map(|split| join(split, bands.1)).transpose()?;
        self.now = State { last: join(last, bands.0)?, earlier: back };
        Ok((self, updates))
    }
}

/// Some stages, one after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pass {
    rules: Vec<Rule>,
    /// Over how many of the last stages the rows' updates are measured; over none if 0.
    measured: usize,
    /// The plate's last row.
    last: usize,
}

impl Pass {
    /// Makes the rows of `made`, of which `first` is the first, and those of one stage earlier in `back`.
    fn run(
        &self,
        window: Window<'_>,
        held: Option<ArrayView2<'_, u8>>,
        first: usize,
        made: ArrayViewMut2<'_, f64>,
        mut back: Option<ArrayViewMut2<'_, f64>>,
    ) -> Vec<RowUpdate> {
        let rows = first..first + made.nrows();
        let mut updates = Vec::with_capacity(if self.measured > 0 { rows.len() } else { 0 });
        wavefront(
            window,
            self.rules.len(),
            rows,
            made,
            |stage, j, from, new| {
                self.rules[stage - 1].apply(j, from, new);
                if let Some(held) = held {
                    let held = held.index_axis_move(ndarray::Axis(0), j - window.first);
                    hold(held.to_slice().expect("a row has gaps"), from.row, new);
                }
            },
            |j, new, from| {
                if let Some(back) = &mut back {
                    let row = back.row_mut(j - first).into_slice().expect("a row has gaps");
                    row.copy_from_slice(from.row);
                }
                match self.measured {
                    0 => {}
                    1 => updates.push(update_of(from.row, new)),
                    _ => updates.push(update_of(from.earlier, new)),
                }
            },
        );
        updates
    }
}

/// What a band is made from.
#[derive(Debug, Serialize, Deserialize)]
struct From {
    /// Which row of the plate is the first of the arrays below.
    first: usize,
    start: ArrayRef<f64, Ix2>,
    earlier: Option<ArrayRef<f64, Ix2>>,
    held: Option<ArrayRef<u8, Ix2>>,
    pass: Pass,
}

type Made = Overwrite<f64, Ix2>;

/// The task: the rows of a band after all stages, and of one stage earlier where those are wanted.
fn sweep_band(
    (from, made, back): (From, Made, Option<Made>),
) -> (Band<f64, Ix2>, Option<Band<f64, Ix2>>, Vec<RowUpdate>) {
    let From { first, start, earlier, held, pass } = from;
    let (mut made, mut back) = (made.into_band(), back.map(Overwrite::into_band));
    let earlier = earlier.as_ref().map(ArrayRef::view);
    let window = Window { start: start.view(), earlier, first, last: pass.last };
    let held = held.as_ref().map(ArrayRef::view);
    let rows = made.rows().start;
    let updates = pass.run(window, held, rows, made.view_mut(), back.as_mut().map(Band::view_mut));
    (made, back, updates)
}
