//! Runs sweeps, cycles or steps until the condition to stop is met.

use std::time::Instant;

use app_support::Failure;
use app_support::progress::Progress;
use farm_core::Farm;
use ndarray::ArrayView2;
use sims::SimError;
use sims::plate::{ErrorBound, Method, Multigrid, Relaxation, Update, floor};

use crate::arguments::{Computation, Stop, Way};
use crate::start::Start;

/// The number of evaluations of the bound without a lower value after which the run fails: near the
/// rounding error of a method the bound only fluctuates.
const PATIENCE: usize = 4;
/// A bound counts as lower if it is below this factor times the lowest one so far.
const FALL: f64 = 0.9;
/// The number of parts of a run; the progress bar moves after each part.
const PARTS: usize = 200;
/// The least number of sweeps in a part, so that each part has several passes through the cache.
const PART: usize = 64;

/// A plate that has been computed.
pub(crate) struct Solution {
    plate: State,
    /// The number of sweeps, cycles, or steps of the heat equation.
    pub(crate) sweeps: usize,
    /// The change by the last sweep; multigrid does not measure it.
    pub(crate) update: Option<Update>,
    /// A bound on the difference of every temperature from the steady state of the discrete plate.
    /// `None` for the heat equation, or if memory does not suffice to compute it, on a very large
    /// plate.
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
    work: Computation,
    show_progress: bool,
) -> Result<Solution, Failure> {
    if let Computation::Steady { stop: Stop::Tolerance(tolerance), .. } = work {
        refuse_below_rounding(start, tolerance)?;
    }
    let mut run = Run::new(start, work)?;
    let started = Instant::now();
    match work {
        Computation::Steady { stop: Stop::Tolerance(tolerance), .. } => {
            run.until_bound(farm, tolerance, show_progress)?;
            if let State::Cycles(multigrid) = &run.plate {
                run.sweeps = multigrid.cycles();
            }
        }
        Computation::Steady { stop: Stop::Sweeps(total), .. }
        | Computation::Heat { steps: total, .. } => {
            let progress = Progress::new(run.name(), total as u64, show_progress);
            run.advance(farm, total, &progress)?;
            progress.finish();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    if run.error_bound.is_none() && matches!(work, Computation::Steady { .. }) {
        run.error_bound = match run.look(farm) {
            Ok(bound) => Some(bound),
            Err(SimError::Memory(_)) => None,
            Err(error) => return Err(Failure::run(error)),
        };
    }
    let Run { plate, sweeps, update, error_bound, .. } = run;
    Ok(Solution { inline: plate.inline(farm), plate, sweeps, update, error_bound, seconds })
}

/// Refuses a tolerance below the rounding error of any temperatures, before anything is computed.
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

/// A plate that is being computed.
struct Run<'a> {
    start: &'a Start,
    plate: State,
    /// The factor by which a sweep reduces the error, if it is known.
    rate: Option<f64>,
    /// The error bound of a plate that is swept, created when it is first needed.
    bound: Option<ErrorBound>,
    sweeps: usize,
    update: Option<Update>,
    error_bound: Option<f64>,
}

impl<'a> Run<'a> {
    fn new(start: &'a Start, work: Computation) -> Result<Self, Failure> {
        let Start { plate, mask, .. } = start;
        let sweeps = |method| Relaxation::with(plate, method, mask.as_ref(), |t| start.fill(t));
        let (state, rate) = match work {
            Computation::Steady { way: Way::Cycles, .. } => {
                let cycles = Multigrid::with(plate, mask.as_ref(), |t| start.fill(t));
                (cycles.map(State::Cycles), None)
            }
            Computation::Steady { way: Way::Sweeps(method), .. } => {
                (sweeps(method).map(State::Sweeps), Some(method.rate(plate)))
            }
            Computation::Heat { ratio, .. } => {
                (sweeps(Method::Heat { ratio }).map(State::Sweeps), None)
            }
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

    /// Makes `total` sweeps, cycles or steps.
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

    /// The present bound on the error.
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

    /// Continues until the bound is below the tolerance. The rate of the method determines when the
    /// bound is computed again.
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
            // The error falls at the rate of the method only when its slowest part is left. At the
            // start it has other parts too, so the first evaluation comes early.
            let early = if self.sweeps == 0 { expected.div_ceil(4) * 3 } else { expected };
            self.advance(farm, early.min(expected), progress)?;
        }
    }

    /// The number of sweeps from one bound to another by the rate of the method, at least one.
    fn expected(&self, bound: f64, tolerance: f64) -> usize {
        let sweeps = self.rate.map_or(0.0, |rate| (tolerance / bound).ln() / rate.ln());
        (sweeps.ceil() as usize).max(1)
    }
}
