//! The farm on rayon threads, to compare.
//!
//! Arguments and results are handed over as they are, without encoding: threads share memory. So a
//! crash takes the whole program, nothing can be stopped, and a function that is not thread-safe must
//! not run here. What remains is the speed to measure other pools by.
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

/// The most workers that a pool can have.
const MOST_WORKERS: usize = 1024;

/// A pool of threads.
#[derive(Debug)]
pub struct Pool {
    threads: Arc<rayon::ThreadPool>,
    waiting: Arc<Waiting>,
    counters: Arc<Counters>,
}

/// How a [`Pool`] is to be made.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    workers: Option<usize>,
}

impl Pool {
    /// A pool of one thread per core that this process may use.
    ///
    /// # Errors
    ///
    /// [`FarmError::Nested`] inside a task, [`FarmError::System`] if threads cannot be started.
    pub fn new() -> Result<Self, FarmError> {
        Self::builder().build()
    }

    /// A pool with settings of one's own.
    pub fn builder() -> Builder {
        Builder { workers: None }
    }
}

impl Builder {
    /// How many threads the pool has; by default one per core that this process may use.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = Some(workers);
        self
    }

    /// Makes the pool.
    ///
    /// # Errors
    ///
    /// [`FarmError::Workers`] for a number that no pool can have, [`FarmError::Nested`] inside a task,
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

/// What the system says of threads that it does not start.
fn why_no_threads(error: rayon::ThreadPoolBuildError) -> io::Error {
    let of_system = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match of_system.and_then(io::Error::raw_os_error) {
        Some(code) => name_limit_of_threads(io::Error::from_raw_os_error(code)),
        None => io::Error::other(error),
    }
}

impl Pool {
    /// Waits until nothing waits or runs; not on a thread of the pool, which is needed for that, nor in a fork, where nothing
    /// runs.
    fn wait_until_idle(&self) {
        if !self.waiting.is_forked() && self.threads.current_thread_index().is_none() {
            self.waiting.wait_until_idle();
        }
    }
}

/// What threads cannot do: be stopped, and have an argument a second time. Their death is everybody's, so
/// that retries after a death are asked of them in vain, but harmlessly.
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
                    // What an array was lent for goes back before the handle is ready, even if that panics.
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
    /// Cancels what has not started. A thread cannot be killed, so what runs is waited for; but not on a thread of
    /// the pool, where a future that a task has woken may drop it.
    fn drop(&mut self) {
        if self.waiting.is_forked() {
            // The threads are not in a child that the program has forked, and may have held locks. Handles that are left
            // there can still ask.
            std::mem::forget((self.threads.clone(), self.waiting.clone()));
            return;
        }
        self.waiting.cancel_all();
        self.wait_until_idle();
        self.waiting.close();
    }
}

/// The example of the README runs like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
