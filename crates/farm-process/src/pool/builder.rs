//! The builder of a pool.

use std::ffi::OsStr;
use std::fmt::Display;
use std::time::Duration;

use farm_core::backend::Function;
use farm_core::{Data, FarmError, TaskFn, TaskOptions};

use rustix::process::{Resource, getrlimit};

use super::Pool;
use super::settings::{Initializer, Settings, Transport};
use crate::{init, worker};

/// The largest number of workers that a pool can have.
const MOST_WORKERS: usize = 1024;

/// How many descriptors a pool needs beside those of its workers: for itself, for a few large
/// values on their way, and for workers that start or are replaced.
const DESCRIPTORS: usize = 40;
/// How many descriptors a worker needs at most: sockets, a pipe, a pidfd, and a lane or a task
/// counter.
const DESCRIPTORS_PER_WORKER: usize = 5;

/// Builds a [`Pool`] with settings.
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
    bad_initializer: Option<String>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { settings: Settings::default(), bad_initializer: None }
    }

    /// Sets how many workers the pool has; by default one per core that this process may use,
    /// according to its affinity and to the limits of its control group.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = Some(workers);
        self
    }

    /// Sets how tasks travel; by default by [lanes](Transport::Lanes).
    pub fn transport(mut self, transport: Transport) -> Self {
        self.settings.transport = transport;
        self
    }

    /// Sets how many tasks `map` and `imap` keep submitted at a time. By default `map`, whose
    /// results are all wanted, keeps 65,536, and `imap` keeps 64 per worker and at least 256.
    pub fn in_flight(mut self, tasks: usize) -> Self {
        self.settings.in_flight = Some(tasks.max(1));
        self
    }

    /// Sets how many tasks may wait for a worker before `submit` waits too. By default there is no
    /// such bound; each waiting task takes the memory of its encoded argument and some 300 bytes.
    pub fn max_queued(mut self, tasks: usize) -> Self {
        self.settings.max_queued = Some(tasks.max(1));
        self
    }

    /// Sets how long a task may take, unless its own options say otherwise; see
    /// [`TaskOptions::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        self.task_options(|options| options.timeout(timeout))
    }

    /// Sets how often a task is started again after the death of its worker, unless its own options
    /// say otherwise; see [`TaskOptions::retries`].
    pub fn retries(self, retries: u32) -> Self {
        self.task_options(|options| options.retries(retries))
    }

    /// Sets whether a task is started again after a panic, too; see [`TaskOptions::retry_panics`].
    pub fn retry_panics(self, retry: bool) -> Self {
        self.task_options(|options| options.retry_panics(retry))
    }

    /// Sets whether a task is started again after it has exceeded its time limit, too; see
    /// [`TaskOptions::retry_timeouts`].
    pub fn retry_timeouts(self, retry: bool) -> Self {
        self.task_options(|options| options.retry_timeouts(retry))
    }

    fn task_options(mut self, change: impl FnOnce(TaskOptions) -> TaskOptions) -> Self {
        self.settings.task = change(self.settings.task);
        self
    }

    /// Replaces each worker after so many tasks, for functions that leak memory; by default never.
    /// Such a replacement is planned: it costs no task and does not count as a loss.
    pub fn max_tasks_per_worker(mut self, tasks: u64) -> Self {
        self.settings.tasks_per_worker = Some(tasks.max(1));
        self
    }

    /// Limits the memory, in bytes, that a worker may allocate for itself; by default there is no
    /// limit.
    ///
    /// Shared arrays do not count. When an allocation is refused because of the limit, Rust aborts,
    /// and the task loses its worker. A worker needs a few MiB for itself, and some more for each
    /// of its threads.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.settings.memory_limit = Some(bytes);
        self
    }

    /// Keeps each worker on one core, and apart from the others as far as there are cores; not by
    /// default.
    ///
    /// This is for a program that has the machine to itself and that, again and again, gives all
    /// workers the same amount of work at a time: the system may wake two of them on one core, and
    /// leave another core without work for longer than such a task takes. Everything that a task
    /// starts, its own threads included, stays on the worker's core too.
    ///
    /// # Examples
    ///
    /// ```
    /// use farm_core::prelude::*;
    /// use farm_process::Pool;
    ///
    /// fn main() -> Result<(), FarmError> {
    ///     farm_process::init();
    ///     let pool = Pool::builder().workers(2).pinned(true).build()?;
    ///     let cores =
    ///         |_: u32| std::thread::available_parallelism().map_or(0, |cores| cores.get());
    ///     assert_eq!(pool.map(cores, 0..4)?, [1; 4]);
    ///     Ok(())
    /// }
    /// ```
    pub fn pinned(mut self, pinned: bool) -> Self {
        self.settings.pinned = pinned;
        self
    }

    /// Has each worker call `function` with `argument` before its first task, for example to load a
    /// library or a table into a static.
    ///
    /// A worker whose initializer panics does not come up, and one whose initializer takes longer
    /// than the [start timeout](Self::start_timeout) is killed.
    ///
    /// # Examples
    ///
    /// ```
    /// # farm_process::init_before_main!();
    /// # fn main() -> Result<(), farm_core::FarmError> {
    /// # farm_process::init();
    /// use std::sync::OnceLock;
    /// use farm_core::Farm;
    ///
    /// static SCALE: OnceLock<f64> = OnceLock::new();
    /// fn set_scale(scale: f64) {
    ///     SCALE.get_or_init(|| scale);
    /// }
    /// fn scaled(x: f64) -> f64 {
    ///     SCALE.get().expect("the initializer has set it") * x
    /// }
    ///
    /// let pool = farm_process::Pool::builder().initializer(set_scale, 3.0).build()?;
    /// assert_eq!(pool.apply(scaled, 2.0)?, 6.0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn initializer<A: Data, F: TaskFn<A, ()>>(mut self, function: F, argument: A) -> Self {
        let function = Function::of(function);
        let reason = |reason: &dyn Display| format!("{}: {reason}", function.name());
        let encoded = function.reference().map_err(|error| reason(&error)).and_then(|function| {
            let argument =
                farm_core::backend::encode_call(&argument).map_err(|error| reason(&error))?;
            Ok(Initializer { function, argument })
        });
        match encoded {
            Ok(initializer) => self.settings.initializer = Some(initializer),
            Err(reason) => self.bad_initializer = Some(reason),
        }
        self
    }

    /// Sets how long a worker may stay stopped, as by SIGSTOP, before it counts as lost; 10 seconds
    /// by default. Time in which the program itself is stopped does not count.
    pub fn stopped_after(mut self, time: Duration) -> Self {
        self.settings.stopped_after = time.max(Duration::from_millis(1));
        self
    }

    /// Sets how long a worker may take to come up, its initializer included; 30 seconds by default.
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
    /// [`FarmError::NotInitialised`] if [`init`](crate::init) was not called, [`FarmError::Nested`]
    /// in a worker or inside a task, [`FarmError::Workers`] for a number of workers that no pool
    /// can have, [`FarmError::Descriptors`] if the limit on descriptors is too low for the pool,
    /// [`FarmError::Initializer`] if the initializer cannot be sent, [`FarmError::Start`] if
    /// workers do not come up, [`FarmError::System`] if the system refuses what the pool needs.
    pub fn build(self) -> Result<Pool, FarmError> {
        if worker::is_this_process() || farm_core::backend::inside_a_task() {
            return Err(FarmError::Nested);
        }
        if !init::is_initialised() {
            return Err(FarmError::NotInitialised);
        }
        if std::fs::read_link("/proc/self/exe").is_err() {
            let source = std::io::Error::other(
                "it is not mounted, and worker processes are started and reached by way of it",
            );
            return Err(FarmError::System { doing: "use /proc", source });
        }
        let workers = self.settings.workers.unwrap_or_else(default_workers);
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(FarmError::Workers { asked: workers, most: MOST_WORKERS });
        }
        if let Some(reason) = self.bad_initializer {
            return Err(FarmError::Initializer { reason });
        }
        farm_os::limits::keep_standard_descriptors();
        let (needed, left) = (DESCRIPTORS + workers * DESCRIPTORS_PER_WORKER, descriptors_left());
        if needed > left {
            return Err(FarmError::Descriptors { workers, needed, left });
        }
        Pool::start(self.settings, workers)
    }
}

/// How many more descriptors this process may open.
fn descriptors_left() -> usize {
    let limit = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit as usize);
    let used = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    limit.saturating_sub(used)
}

fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS)
}
