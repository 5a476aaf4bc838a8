//! A pool of rayon threads, for comparison.
//!
//! Arguments and results are moved, without encoding, because threads share memory. For the same
//! reason, a crash ends the whole program, a running task cannot be stopped, and a function that is
//! not thread-safe must not run here. The pool shows how fast tasks run without processes.
//!
//! ```
//! use farm_core::prelude::*;
//! use farm_rayon::Pool;
//!
//! let pool = Pool::new()?;
//! assert_eq!(pool.map(f64::sqrt, [1.0, 4.0, 9.0])?, [1.0, 2.0, 3.0]);
//! # Ok::<(), FarmError>(())
//! ```

mod waiting;

use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use farm_core::backend::FORKED;
use farm_core::backend::{Backend, Counters, Function, Policy, PoolRef, Slot, inside_a_task};
use farm_core::{
    Data, Farm, FarmError, Stats, TaskError, TaskFn, TaskHandle, TaskName, TaskOptions,
};
use farm_os::limits::name_limit_of_threads;

use crate::waiting::Waiting;

/// The largest number of workers that a pool can have.
const MOST_WORKERS: usize = 1024;

/// A pool of threads.
#[derive(Debug)]
pub struct Pool {
    threads: Arc<rayon::ThreadPool>,
    waiting: Arc<Waiting>,
    counters: Arc<Counters>,
}

/// The settings of a [`Pool`] that is to be made.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    workers: Option<usize>,
}

impl Pool {
    /// Makes a pool of one thread per core that this process may use.
    ///
    /// # Errors
    ///
    /// [`FarmError::Nested`] inside a task, [`FarmError::System`] if threads cannot be started.
    pub fn new() -> Result<Self, FarmError> {
        Self::builder().build()
    }

    /// Returns the default settings, which can then be changed.
    pub fn builder() -> Builder {
        Builder { workers: None }
    }
}

impl Builder {
    /// Sets the number of threads. The default is one per core that this process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Makes the pool.
    ///
    /// # Errors
    ///
    /// [`FarmError::Workers`] for 0 threads or more than 1024, [`FarmError::Nested`] inside a task,
    /// [`FarmError::System`] if threads cannot be started.
    pub fn build(self) -> Result<Pool, FarmError> {
        if inside_a_task() {
            return Err(FarmError::Nested);
        }
        let workers = self.workers.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, usize::from).min(MOST_WORKERS)
        });
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(FarmError::Workers { asked: workers, most: MOST_WORKERS });
        }
        let refused = |doing| move |source| FarmError::System { doing, source };
        let waiting = Waiting::new().map_err(refused("make memory for the pool"))?;
        let threads = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|index| format!("farm-{index}"))
            .build()
            .map_err(why_no_threads)
            .map_err(refused("start the threads of the pool"))?;
        let (threads, waiting) = (Arc::new(threads), Arc::new(waiting));
        Ok(Pool { threads, waiting, counters: Arc::default() })
    }
}

/// Returns why threads cannot be started, with the limit of the system that was reached, if any.
fn why_no_threads(error: rayon::ThreadPoolBuildError) -> io::Error {
    let of_system = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match of_system.and_then(io::Error::raw_os_error) {
        Some(code) => name_limit_of_threads(io::Error::from_raw_os_error(code)),
        None => io::Error::other(error),
    }
}

impl Pool {
    /// Waits until no task is queued or running. Does not wait on a thread of the pool, which the
    /// tasks may need, or in a fork, where no task runs.
    fn wait_until_idle(&self) {
        if !self.waiting.is_forked() && self.threads.current_thread_index().is_none() {
            self.waiting.wait_until_idle();
        }
    }
}

/// Returns what the policy asks for that threads cannot do: they cannot be stopped, and they do not
/// have the argument a second time. `retries` alone is accepted although it has no effect, because
/// it applies to the death of a worker, and here that is the death of the program.
fn unsupported(policy: Policy) -> Option<&'static str> {
    if policy.timeout.is_some() {
        Some("a timeout")
    } else if policy.retry_panics && policy.retries > 0 {
        Some("panics to be retried")
    } else {
        None
    }
}

impl Backend for Pool {}

impl Farm for Pool {
    fn submit_with<A, R, F>(&self, options: TaskOptions, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        self.counters.submitted(1);
        let task = Arc::new(TaskName::new(Function::of(function), &options));
        if inside_a_task() {
            self.counters.failed();
            return TaskHandle::failed(TaskError::Nested { task });
        }
        if let Some(what) = unsupported(options.policy()) {
            self.counters.failed();
            return TaskHandle::failed(TaskError::Unsupported { task, what });
        }
        if self.waiting.is_forked() {
            self.counters.failed();
            return TaskHandle::failed(TaskError::NoWorkers { task, reason: FORKED.into() });
        }
        let slot = Arc::new(Slot::new(task.clone()));
        let (ours, counters) = (slot.clone(), self.counters.clone());
        let cancelled = TaskError::Cancelled { task: task.clone() };
        self.waiting.push(
            task.id,
            Box::new(move |go| {
                let outcome = if go {
                    farm_core::backend::call(function, argument).map_err(|failure| failure.of(task))
                } else {
                    // The argument is dropped before the handle is ready, so that bands in it are
                    // then back with their split. A panic of its `Drop` must not prevent the
                    // outcome.
                    let _ = catch_unwind(AssertUnwindSafe(|| drop(argument)));
                    Err(cancelled)
                };
                counters.ended(1, outcome.as_ref().err());
                ours.fill(outcome)
            }),
        );
        let waiting = self.waiting.clone();
        self.threads.spawn_fifo(move || waiting.run_next());
        TaskHandle::new(slot, Some(Arc::downgrade(&self.waiting) as _), 0)
    }

    fn workers(&self) -> usize {
        self.threads.current_num_threads()
    }

    fn in_flight(&self) -> usize {
        (64 * self.workers()).max(256)
    }

    fn stats(&self) -> Stats {
        self.counters.stats()
    }

    fn shutdown(self) {
        self.wait_until_idle();
    }

    fn terminate(self) {}
}

impl Drop for Pool {
    /// Cancels the tasks that have not started, and waits for those that run, because a thread
    /// cannot be killed. On a thread of the pool, where a future that a task has woken may drop the
    /// pool, it does not wait.
    fn drop(&mut self) {
        if self.waiting.is_forked() {
            // A forked child does not have the threads, which may have held locks at the time of
            // the fork. So nothing is ended here, and handles that are left can still be asked.
            std::mem::forget((self.threads.clone(), self.waiting.clone()));
            return;
        }
        self.waiting.cancel_all();
        self.wait_until_idle();
        self.waiting.close();
    }
}

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
