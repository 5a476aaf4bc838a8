//! Sweeps on a farm: one band of rows per worker, several sweeps at a time.
//!
//! Two arrays alternate. A task reads its own rows of the frozen array, and as many more on either
//! side as there are stages. It goes through all stages as a wavefront in memory of its own, and
//! writes its band of the other array, so no task reads what another writes. The farm carries
//! handles and, after the last pass, one [`RowUpdate`] per row, but never the temperatures.

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, SharedArray, Split};
use ndarray::{ArrayView2, ArrayViewMut2, Ix2, s};

use super::heat::LARGEST_RATIO;
use super::method::Schedule;
use super::pass::{BandInput, Pass, sweep_band};
use super::wavefront::{Window, reach};
use super::{Mask, Method, Plate, RowUpdate, Update, norms};
use crate::SimError;

/// The most stages of a pass. The more stages there are, the more columns neighbouring tiles
/// compute twice.
const STAGES: usize = 32;
/// The fixed cost of a pass, in stages: sending the task and its result, and moving the rows from
/// memory and back.
const WAY: usize = 10;

/// The number of cells, sides included, below which a plate does not use a farm of `workers`
/// workers.
///
/// Sending a task to a worker and receiving its result takes some microseconds a pass, and more
/// where a worker has to be woken. Two workers make up for that from 150 x 150 cells on. A single
/// worker gains nothing, and loses less than a twentieth from 1024 x 1024 cells on.
#[must_use]
pub fn inline_below(workers: usize) -> usize {
    if workers == 1 { 1024 * 1024 } else { 150 * 150 }
}

/// A plate that is relaxed by sweeps.
///
/// # Examples
///
/// ```
/// use sims::plate::{Method, Plate, Relaxation};
///
/// let farm = farm_mono::Pool::new()?;
/// let plate = Plate { nx: 30, ny: 20, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let mut jacobi = Relaxation::new(&plate, Method::Jacobi)?;
/// let update = jacobi.advance(&farm, 1)?;
/// assert_eq!(update.linf, 25.0);
/// assert_eq!(jacobi.temperatures()[[20, 1]], 25.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Relaxation {
    schedule: Schedule,
    /// The current state, and room for the state after the next stages. `None` after a task has
    /// failed: the arrays are lost with it.
    states: Option<(State, State)>,
    /// The plate's last row and column.
    last: (usize, usize),
    held: Option<ArrayRef<u8, Ix2>>,
    sweeps: usize,
    /// The caller's threshold in place of [`inline_below`].
    inline_below: Option<usize>,
}

/// Temperatures, and those of one stage earlier if the method uses them.
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
    /// A plate whose sides have their temperatures, and whose cells are at zero.
    ///
    /// # Errors
    ///
    /// As [`with`](Self::with).
    pub fn new(plate: &Plate, method: Method) -> Result<Self, SimError> {
        Self::with(plate, method, None, |temperatures| plate.fill_sides(temperatures))
    }

    /// A plate with the temperatures that `fill` writes to an array of zeros. The sides and the
    /// cells that `mask` holds keep these temperatures.
    ///
    /// # Shapes
    ///
    /// The array that `fill` gets is `(ny + 2, nx + 2)`.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory; [`SimError::Unstable`] for
    /// a ratio of the heat equation that is not above 0 and at most 1/4.
    ///
    /// # Panics
    ///
    /// If the mask is that of another plate.
    pub fn with(
        plate: &Plate,
        method: Method,
        mask: Option<&Mask>,
        fill: impl FnOnce(ArrayViewMut2<'_, f64>),
    ) -> Result<Self, SimError> {
        if let Method::Heat { ratio } = method
            && !(ratio > 0.0 && ratio <= LARGEST_RATIO)
        {
            return Err(SimError::Unstable { ratio, largest: LARGEST_RATIO });
        }
        let held = mask.filter(|mask| mask.held_cells() > 0).map(Mask::held);
        assert!(
            held.is_none_or(|held| held.dim() == plate.shape()),
            "the mask does not fit the plate"
        );
        let schedule = Schedule::new(method, plate);
        let mut now = State::new(plate, schedule.looks_back())?;
        let mut room = State::new(plate, schedule.looks_back())?;
        let held = held.map(|held| SharedArray::from_array(&held)).transpose()?;
        fill(now.last.view_mut());
        room.copy(&now);
        if let Some(earlier) = &mut now.earlier {
            earlier.view_mut().assign(&now.last.view());
        }
        Ok(Self {
            schedule,
            states: Some((now, room)),
            last: (plate.ny + 1, plate.nx + 1),
            held: held.map(SharedArray::freeze),
            sweeps: 0,
            inline_below: None,
        })
    }

    /// Uses the farm for plates of at least `cells` cells, sides included, in place of the
    /// threshold of [`inline_below`].
    #[must_use]
    pub fn inline_below(mut self, cells: usize) -> Self {
        self.inline_below = Some(cells);
        self
    }

    /// Makes `sweeps` sweeps over the plate, and returns how much the last one has changed.
    ///
    /// # Errors
    ///
    /// The first error of a task; after that, [`SimError::Failed`].
    pub fn advance(&mut self, farm: &impl Farm, sweeps: usize) -> Result<Update, SimError> {
        let at_a_time = (self.stages(farm) / self.schedule.stages()).max(1);
        let mut left = sweeps;
        let mut updates = Vec::new();
        while left > 0 {
            let now = left.min(at_a_time);
            left -= now;
            let measured = if left == 0 { self.schedule.stages() } else { 0 };
            let pass = Pass { rules: self.schedule.next(now), measured, last: self.last.0 };
            updates =
                if self.inline(farm) { self.pass_in_line(&pass) } else { self.pass(farm, &pass) }?;
            self.sweeps += now;
        }
        Ok(norms(updates.into_iter()))
    }

    /// The temperatures, sides included; the array has the shape of [`Plate::shape`].
    ///
    /// # Panics
    ///
    /// If [`advance`](Self::advance) has failed.
    #[must_use]
    pub fn temperatures(&self) -> ArrayView2<'_, f64> {
        let (now, _) = self.states.as_ref().expect("the temperatures went with a task that failed");
        now.last.view()
    }

    /// The number of sweeps made so far.
    #[must_use]
    pub fn sweeps(&self) -> usize {
        self.sweeps
    }

    /// Whether the sweeps run on the caller's thread because the plate is small: see
    /// [`inline_below`].
    #[must_use]
    pub fn inline(&self, farm: &impl Farm) -> bool {
        let least = self.inline_below.unwrap_or_else(|| inline_below(farm.workers()));
        (self.last.0 + 1) * (self.last.1 + 1) < least
    }

    /// The number of stages of a pass. With S stages over R rows, each stage costs
    /// (1 + S / R) (1 + WAY / S), because neighbours compute S rows twice.
    fn stages(&self, farm: &impl Farm) -> usize {
        let workers = if self.inline(farm) { 1 } else { farm.workers() };
        let rows = (self.last.0 - 1).div_ceil(workers);
        if workers == 1 { STAGES } else { STAGES.min((WAY * rows).isqrt()) }
    }

    fn pass_in_line(&mut self, pass: &Pass) -> Result<Vec<RowUpdate>, SimError> {
        let (now, room) = self.states.as_mut().ok_or(SimError::Failed)?;
        let earlier = now.earlier.as_ref().map(SharedArray::view);
        let window = Window { start: now.last.view(), earlier, first: 0, last: pass.last, left: 0 };
        let inner = s![1..pass.last, ..];
        let back = room.earlier.as_mut().map(|back| back.view_mut().slice_move(inner));
        let held = self.held.as_ref().map(ArrayRef::view);
        let updates = pass.run(window, held, 1, room.last.view_mut().slice_move(inner), back);
        std::mem::swap(now, room);
        Ok(updates)
    }

    fn pass(&mut self, farm: &impl Farm, pass: &Pass) -> Result<Vec<RowUpdate>, SimError> {
        let (now, room) = self.states.take().ok_or(SimError::Failed)?;
        let rows: Vec<_> =
            farm.distribute(pass.last - 1).into_iter().map(|r| r.start + 1..r.end + 1).collect();
        let start = now.last.freeze();
        let earlier = now.earlier.map(SharedArray::freeze);
        let (split, bands) = room.last.split(rows.clone()).map_err(|_| SimError::Failed)?;
        let (back_split, back_bands) = match room.earlier {
            Some(back) => {
                let (split, bands) = back.split(rows).map_err(|_| SimError::Failed)?;
                (Some(split), bands.into_iter().map(Some).collect())
            }
            None => (None, bands.iter().map(|_| None).collect::<Vec<_>>()),
        };
        let tasks = bands.into_iter().zip(back_bands).map(|(band, back)| {
            let needed = reach(&band.rows(), pass.rules.len(), pass.last);
            let from = BandInput {
                first: needed.start,
                start: start.clone().slice(needed.clone()),
                earlier: earlier.as_ref().map(|array| array.clone().slice(needed.clone())),
                held: self.held.as_ref().map(|held| held.clone().slice(needed)),
                pass: pass.clone(),
            };
            (from, band.overwrite(), back.map(Band::overwrite))
        });
        let (mut made, mut back, mut updates) = (Vec::new(), Vec::new(), Vec::new());
        for (band, back_band, of_band) in farm.map(sweep_band, tasks)? {
            made.push(band);
            back.extend(back_band);
            updates.extend(of_band);
        }
        let thaw = |array: ArrayRef<f64, Ix2>| array.thaw().map_err(|_| SimError::Failed);
        let room = State { last: thaw(start)?, earlier: earlier.map(thaw).transpose()? };
        let join = |split: Split<f64, Ix2>| split.join(back).map_err(|_| SimError::Failed);
        let earlier = back_split.map(join).transpose()?;
        let now = State { last: split.join(made).map_err(|_| SimError::Failed)?, earlier };
        self.states = Some((now, room));
        Ok(updates)
    }
}
