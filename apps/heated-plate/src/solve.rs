//! Sweeps and cycles until it is time to stop.

use std::time::Instant;

use app_support::Failure;
use app_support::progress::Progress;
use farm_core::Farm;
use ndarray::ArrayView2;
use sims::SimError;
use sims::plate::{ErrorBound, Method, Multigrid, Relaxation, Update, floor};

use crate::arguments::{Stop, Way, Work};
use crate::start::Start;

/// Looks at the bound without a lower one after which it counts as stopped: below the rounding of a method it wanders.
const PATIENCE: usize = 4;
/// A bound that falls by less than this has not fallen.
const FALL: f64 = 0.9;
/// Parts of a run that the progress bar shows.
const PARTS: usize = 200;
/// Sweeps of a part at least: as many as pass through the cache together.
const PART: usize = 64;

/// A plate that is done.
pub(crate) struct Solution {
    plate: State,
    /// Sweeps, cycles, or steps of the heat equation.
    pub(crate) sweeps: usize,
    /// What the last sweep has changed; cycles do not tell.
    pub(crate) update: Option<Update>,
    /// No temperature differs by more from the steady state of the discrete plate. The heat equation has none, and on a very
    /// large plate there may be no room to find it.
    pub(crate) error_bound: Option<f64>,
    pub(crate) inline: bool,
    pub(crate) seconds: f64,
}

impl Solution {
    pub(crate) fn temperatures(&self) -> ArrayView2<'_, f64> {
        self.plate.temperatures()
    }
}

/// Does the work on `farm`.
pub(crate) fn solve(
    farm: &impl Farm,
    start: &Start,
    work: Work,
    show_progress: bool,
) -> Result<Solution, Failure> {
    if let Work::Steady { stop: Stop::Tolerance(tolerance), .. } = work {
        refuse_below_rounding(start, tolerance)?;
    }
    let mut run = Run::new(start, work)?;
    let started = Instant::now();
    match work {
        Work::Steady { stop: Stop::Tolerance(tolerance), .. } => {
            run.until_bound(farm, tolerance, show_progress)?;
            if let State::Cycles(multigrid) = &run.plate {
                run.sweeps = multigrid.cycles();
            }
        }
        Work::Steady { stop: Stop::Sweeps(total), .. } | Work::Heat { steps: total, .. } => {
            let progress = Progress::new(run.name(), total as u64, show_progress);
            run.advance(farm, total, &progress)?;
            progress.finish();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if run.error_bound.is_none() && matches!(work, Work::Steady { .. }) {
        run.error_bound = match run.look(farm) {
            Ok(bound) => Some(bound),
            Err(SimError::Memory(_)) => None,
            Err(error) => return Err(Failure::run(error)),
        };
    }
    let Run { plate, sweeps, update, error_bound, .. } = run;
    Ok(Solution { inline: plate.inline(farm), plate, sweeps, update, error_bound, seconds })
}

/// A tolerance that no temperatures of finite digits can keep is refused before anything is computed.
fn refuse_below_rounding(start: &Start, tolerance: f64) -> Result<(), Failure> {
    let floor = floor(start.largest());
    if tolerance >= floor {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "--tolerance {tolerance:?}: must be at least {:.3e} K, where rounding ends for these temperatures",
        1.001 * floor
    )))
}

enum State {
    Sweeps(Relaxation),
    Cycles(Multigrid),
}

impl State {
    fn temperatures(&self) -> ArrayView2<'_, f64> {
        match self {
            Self::Sweeps(relaxation) => relaxation.temperatures(),
            Self::Cycles(multigrid) => multigrid.temperatures(),
        }
    }

    fn inline(&self, farm: &impl Farm) -> bool {
        match self {
            Self::Sweeps(relaxation) => relaxation.inline(farm),
            Self::Cycles(multigrid) => multigrid.inline(farm),
        }
    }
}

/// A plate on its way.
struct Run<'a> {
    start: &'a Start,
    plate: State,
    /// The factor of the error in a sweep, if it is known.
    rate: Option<f64>,
    /// What bounds the error of sweeps, once that is wanted.
    bound: Option<ErrorBound>,
    sweeps: usize,
    update: Option<Update>,
    error_bound: Option<f64>,
}

impl<'a> Run<'a> {
    fn new(start: &'a Start, work: Work) -> Result<Self, Failure> {
        let Start { plate, mask, .. } = start;
        let sweeps = |method| Relaxation::with(plate, method, mask.as_ref(), |t| start.fill(t));
        let (state, rate) = match work {
            Work::Steady { way: Way::Cycles, .. } => {
                let cycles = Multigrid::with(plate, mask.as_ref(), |t| start.fill(t));
                (cycles.map(State::Cycles), None)
            }
            Work::Steady { way: Way::Sweeps(method), .. } => {
                (sweeps(method).map(State::Sweeps), Some(method.rate(plate)))
            }
            Work::Heat { ratio, .. } => (sweeps(Method::Heat { ratio }).map(State::Sweeps), None),
        };
        let plate = state.map_err(|error| start.too_large(error))?;
        Ok(Self { start, plate, rate, bound: None, sweeps: 0, update: None, error_bound: None })
    }

    fn name(&self) -> &'static str {
        match (&self.plate, self.rate) {
            (State::Cycles(_), _) => "cycling",
            (State::Sweeps(_), Some(_)) => "sweeping",
            (State::Sweeps(_), None) => "stepping",
        }
    }

    /// Goes over the plate so many times.
    fn advance(
        &mut self,
        farm: &impl Farm,
        total: usize,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let least = if matches!(self.plate, State::Cycles(_)) { 1 } else { PART };
        let mut left = total;
        while left > 0 {
            let part = total.div_ceil(PARTS).max(least).min(left);
            left -= part;
            self.sweeps += part;
            match &mut self.plate {
                State::Cycles(multigrid) => multigrid.advance(farm, part).map_err(Failure::run)?,
                State::Sweeps(relaxation) => {
                    let update = relaxation.advance(farm, part).map_err(Failure::run)?;
                    if update.linf.is_nan() {
                        let steps = self.sweeps;
                        return Err(Failure::run(format!(
                            "a temperature is not a number any more after {steps} sweeps; nothing is written"
                        )));
                    }
                    self.update = Some(update);
                }
            }
            progress.set(self.sweeps as u64);
        }
        Ok(())
    }

    /// The bound on the error now.
    fn look(&mut self, farm: &impl Farm) -> Result<f64, SimError> {
        match &mut self.plate {
            State::Cycles(multigrid) => multigrid.error_bound(farm),
            State::Sweeps(relaxation) => {
                let bound = match &mut self.bound {
                    Some(bound) => bound,
                    empty => {
                        empty.insert(ErrorBound::new(&self.start.plate, self.start.mask.as_ref())?)
                    }
                };
                bound.of(farm, relaxation.temperatures())
            }
        }
    }

    /// Goes on until the bound is below the tolerance; looks at it where the rate of the method lets expect that.
    fn until_bound(
        &mut self,
        farm: &impl Farm,
        tolerance: f64,
        show_progress: bool,
    ) -> Result<(), Failure> {
        let mut progress: Option<Progress> = None;
        let (mut lowest, mut since_lowest) = (f64::INFINITY, 0);
        loop {
            let bound = self.look(farm).map_err(|error| self.start.too_large(error))?;
            self.error_bound = Some(bound);
            if bound <= tolerance {
                if let Some(progress) = progress {
                    progress.finish();
                }
                return Ok(());
            }
            since_lowest = if bound < FALL * lowest { 0 } else { since_lowest + 1 };
            lowest = lowest.min(bound);
            if since_lowest == PATIENCE {
                let sweeps = self.sweeps;
                return Err(Failure::run(format!(
                    "--tolerance {tolerance:?}: the bound on the error does not fall below {lowest:.3e} K \
                     (after {sweeps} sweeps)"
                )));
            }
            let expected = self.expected(bound, tolerance);
            let total = (self.sweeps + expected) as u64;
            let progress =
                progress.get_or_insert_with(|| Progress::new(self.name(), total, show_progress));
            progress.note(format_args!("error below {bound:.1e} K"));
            // The start says little of what is left when only the slowest part of the error is: so the first look is early.
            let early = if self.sweeps == 0 { expected.div_ceil(4) * 3 } else { expected };
            self.advance(farm, early.min(expected), progress)?;
        }
    }

    /// How many sweeps it takes from one bound to another, at least one.
    fn expected(&self, bound: f64, tolerance: f64) -> usize {
        let sweeps = self.rate.map_or(0.0, |rate| (tolerance / bound).ln() / rate.ln());
        (sweeps.ceil() as usize).max(1)
    }
}
