//! Sweeping until it is time to stop.

use std::time::Instant;

use app_support::Failure;
use app_support::progress::Progress;
use farm_core::Farm;
use sims::plate::{Jacobi, Plate, Update};

use crate::arguments::Stop;

/// Sweeps without a new lowest bound after which the bound counts as stopped: below the rounding of
/// the temperatures it wanders.
const PATIENCE: usize = 100;

/// A plate that has been swept.
pub(crate) struct Solution {
    pub(crate) jacobi: Jacobi,
    pub(crate) sweeps: usize,
    pub(crate) update: Update,
    /// No temperature differs by more from the steady state of the discrete plate.
    pub(crate) error_bound: f64,
    pub(crate) seconds: f64,
}

/// Sweeps `jacobi` on `farm` until `stop`.
pub(crate) fn solve(
    farm: &impl Farm,
    plate: &Plate,
    mut jacobi: Jacobi,
    stop: Stop,
    show_progress: bool,
) -> Result<Solution, Failure> {
    let started = Instant::now();
    let mut progress: Option<Progress> = None;
    let (mut lowest, mut since_lowest) = (f64::INFINITY, 0);
    for sweeps in 1.. {
        let update;
        (jacobi, update) = jacobi.sweep(farm).map_err(Failure::run)?;
        let error_bound = update.l2 * plate.error_factor();
        let total = || match stop {
            Stop::Sweeps(total) => total,
            Stop::Tolerance(tolerance) => expected_sweeps(plate, error_bound, tolerance),
        };
        let progress = progress
            .get_or_insert_with(|| Progress::new("sweeping", total() as u64, show_progress));
        progress.set(sweeps as u64);
        progress.note(format_args!("error below {error_bound:.1e} K"));

        // Where a sweep changes nothing any more, it is rounding that has come to rest; that says
        // nothing of the error, unless the plate started at its steady state.
        let at_rest = error_bound == 0.0 && sweeps > 1;
        let done = match stop {
            Stop::Sweeps(total) => sweeps == total,
            Stop::Tolerance(tolerance) => error_bound < tolerance && !at_rest,
        };
        if done {
            let seconds = started.elapsed().as_secs_f64();
            return Ok(Solution { jacobi, sweeps, update, error_bound, seconds });
        }
        if let Stop::Tolerance(tolerance) = stop {
            since_lowest = if error_bound < lowest && !at_rest { 0 } else { since_lowest + 1 };
            if !at_rest {
                lowest = lowest.min(error_bound);
            }
            if since_lowest == PATIENCE {
                return Err(Failure::run(format!(
                    "--tolerance {tolerance:?}: rounding keeps the bound on the error from falling \
                     below {lowest:.3e} K (after {sweeps} sweeps)"
                )));
            }
        }
    }
    Err(Failure::run("the sweeps cannot be counted any more"))
}

/// How many sweeps it takes if each lowers the bound by the spectral radius, as the last ones do.
fn expected_sweeps(plate: &Plate, bound: f64, tolerance: f64) -> usize {
    let decades = (bound / tolerance).ln().max(0.0);
    (decades / -plate.spectral_radius().ln()) as usize + 1
}
