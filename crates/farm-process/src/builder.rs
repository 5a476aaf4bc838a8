//! Settings of a pool.

use std::ffi::OsStr;
use std::time::Duration;

use farm_core::FarmError;

use crate::pool::Pool;
use crate::settings::Settings;
use crate::{init, worker};

/// The most workers that a pool can have.
const MOST_WORKERS: usize = 1024;

/// How a [`Pool`] is to be made.
///
/// # Examples
///
/// ```
/// # farm_process::init_before_main!();
/// # fn main() -> Result<(), farm_core::FarmError> {
/// # farm_process::init();
/// use farm_core::Farm;
///
/// let pool = farm_process::Pool::builder().workers(3).env("OMP_NUM_THREADS", "2").build()?;
/// assert_eq!(pool.workers(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { settings: Settings::default() }
    }

    /// How many workers the pool has; by default one per core that this process may use, its affinity
    /// and the limits of its control group counted.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = Some(workers);
        self
    }

    /// How many tasks `map` keeps submitted at a time; by default 64 per worker and at least 256.
    pub fn in_flight(mut self, tasks: usize) -> Self {
        self.settings.in_flight = Some(tasks.max(1));
        self
    }

    /// How long a worker may take to come up; 30 seconds by default.
    pub fn start_timeout(mut self, timeout: Duration) -> Self {
        self.settings.start_timeout = timeout;
        self
    }

    /// Sets a variable in the environment of the workers.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.settings.environment.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Starts the pool, and returns when its first worker is up; the others follow.
    ///
    /// # Errors
    ///
    /// [`FarmError::NotInitialised`] if [`init`](crate::init) was not called, [`FarmError::Nested`] in a
    /// worker, [`FarmError::Workers`] for a number that no pool can have, [`FarmError::Start`] if workers
    /// do not come up, [`FarmError::System`] if the system refuses what the pool needs.
    pub fn build(self) -> Result<Pool, FarmError> {
        if worker::is_this_process() || farm_core::inside_a_task() {
            return Err(FarmError::Nested);
        }
        if !init::passed() {
            return Err(FarmError::NotInitialised);
        }
        let workers = self.settings.workers.unwrap_or_else(default_workers);
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(FarmError::Workers { asked: workers, most: MOST_WORKERS });
        }
        Pool::start(self.settings, workers)
    }
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS)
}
