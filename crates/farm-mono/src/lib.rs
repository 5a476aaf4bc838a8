//! A pool that runs tasks on the caller's own thread, for debugging.
//!
//! A task runs when it is submitted, so a debugger or a `dbg!` sees the tasks one after the other,
//! in order. All else is as in worker processes: arguments and results are encoded and decoded in
//! the same way, so a value that cannot be sent to another process is found here. A panic is the
//! outcome of its task, and does not unwind the caller. A task that panics is retried if its
//! options say so. A timeout is ignored, because the task may be stopped in a debugger.
//!
//! ```
//! use farm_core::prelude::*;
//! use farm_mono::Pool;
//!
//! let pool = Pool::new()?;
//! assert_eq!(pool.map(f64::sqrt, [1.0, 4.0, 9.0])?, [1.0, 2.0, 3.0]);
//! # Ok::<(), FarmError>(())
//! ```

use farm_core::backend::{Backend, Counters, Failure, Mailbox, Payload, Prepared, Task, prepare};
use farm_core::{Data, Farm, FarmError, Stats, TaskError, TaskFn, TaskHandle, TaskOptions};

/// The largest number of workers that a pool can have.
const MOST_WORKERS: usize = 1024;

/// A pool that runs all tasks on the thread of the caller.
#[derive(Debug)]
pub struct Pool {
    workers: usize,
    counters: Counters,
}

/// The settings of a [`Pool`] that is to be made.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    workers: usize,
}

impl Pool {
    /// Makes a pool of one worker.
    ///
    /// # Errors
    ///
    /// [`FarmError::Nested`] inside a task.
    pub fn new() -> Result<Self, FarmError> {
        Self::builder().build()
    }

    /// Returns the default settings, which can then be changed.
    pub fn builder() -> Builder {
        Builder { workers: 1 }
    }
}

impl Builder {
    /// Sets the number of workers that the pool reports, 1 by default. Work is then split as for so
    /// many workers, and the parts run one after the other.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Makes the pool.
    ///
    /// # Errors
    ///
    /// [`FarmError::Workers`] for 0 workers or more than 1024, [`FarmError::Nested`] inside a task.
    pub fn build(self) -> Result<Pool, FarmError> {
        if farm_core::backend::inside_a_task() {
            return Err(FarmError::Nested);
        }
        if !(1..=MOST_WORKERS).contains(&self.workers) {
            return Err(FarmError::Workers { asked: self.workers, most: MOST_WORKERS });
        }
        Ok(Pool { workers: self.workers, counters: Counters::default() })
    }
}

impl Pool {
    /// Runs a task. If it panics, it is run again as often as its policy allows.
    fn run(&self, task: &Task, mailbox: &mut Mailbox) -> Result<Payload, TaskError> {
        // `prepare` has encoded it in memory of this process alone, so this is `Some`.
        let argument = task.argument.as_slice().unwrap_or_default();
        let mut retries = if task.policy.retry_panics { task.policy.retries } else { 0 };
        loop {
            mailbox.mark_sent(task.id());
            let mut result = Vec::new();
            // SAFETY: `prepare` has made the argument, and its loans are in the mailbox.
            let done = unsafe { farm_core::backend::run(task.function, argument, &mut result) };
            match done {
                Ok(form) => return Ok(Payload::from(result).in_form(form)),
                Err(Failure::Panicked { .. }) if retries > 0 => {
                    retries -= 1;
                    self.counters.retried(1);
                }
                Err(failure) => {
                    // The handles are kept in this process, which cannot be ended as a worker can.
                    if matches!(failure, Failure::Escaped { .. }) {
                        mailbox.strand(task.id());
                    }
                    return Err(failure.of(task.name.clone()));
                }
            }
        }
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
        let Prepared { task, slot, loans } = match prepare(&options, function, argument) {
            Ok(prepared) => prepared,
            Err(handle) => {
                self.counters.failed();
                return handle;
            }
        };
        let mut mailbox = Mailbox::default();
        mailbox.expect(task.id(), 1, slot.clone(), loans);
        let outcome = self.run(&task, &mut mailbox);
        self.counters.ended(1, outcome.as_ref().err());
        if let Some(delivery) = mailbox.close(task.id(), 0..1, outcome) {
            // No waker was registered, because no handle of the task exists yet.
            let _ = delivery.deliver();
        }
        TaskHandle::new(slot, None, 0)
    }

    fn workers(&self) -> usize {
        self.workers
    }

    /// Returns 1: each task is done before the next item is taken.
    fn in_flight(&self) -> usize {
        1
    }

    fn stats(&self) -> Stats {
        self.counters.stats()
    }

    fn shutdown(self) {}

    fn terminate(self) {}
}

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
