//! Counts of what a pool has done.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::error::TaskError;

/// Counts of what one pool has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The tasks that were submitted.
    pub submitted: u64,
    /// The tasks that have returned.
    pub completed: u64,
    /// The tasks that have ended in an error other than a cancellation.
    pub failed: u64,
    /// The tasks that were cancelled.
    pub cancelled: u64,
    /// The failed attempts that were followed by another attempt.
    pub retried: u64,
    /// The workers that have come up, replacements included.
    pub workers_started: u64,
    /// The workers that have died unplanned or had to be killed, after they had come up.
    pub workers_lost: u64,
    /// The workers that were replaced as planned, after their number of tasks.
    pub workers_retired: u64,
}

/// The counters behind [`Stats`].
///
/// All accesses are `Relaxed`, because the counters order no other memory.
#[derive(Debug, Default)]
pub struct Counters {
    submitted: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    retried: AtomicU64,
    workers_started: AtomicU64,
    workers_lost: AtomicU64,
    workers_retired: AtomicU64,
}

impl Counters {
    /// Counts tasks that were submitted.
    pub fn submitted(&self, tasks: u64) {
        self.submitted.fetch_add(tasks, Ordering::Relaxed);
    }

    /// Counts tasks that have ended, with this error if there is one.
    pub fn ended(&self, tasks: u64, error: Option<&TaskError>) {
        let counter = match error {
            None => &self.completed,
            Some(TaskError::Cancelled { .. }) => &self.cancelled,
            Some(_) => &self.failed,
        };
        counter.fetch_add(tasks, Ordering::Relaxed);
    }

    /// Counts a task that has failed before it was sent.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts failed attempts that are followed by another attempt.
    pub fn retried(&self, attempts: u64) {
        self.retried.fetch_add(attempts, Ordering::Relaxed);
    }

    /// Counts a worker that has come up.
    pub fn worker_started(&self) {
        self.workers_started.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a worker that has died unplanned.
    pub fn worker_lost(&self) {
        self.workers_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a worker that has run its number of tasks.
    pub fn worker_retired(&self) {
        self.workers_retired.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the counts.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            submitted: read(&self.submitted),
            completed: read(&self.completed),
            failed: read(&self.failed),
            cancelled: read(&self.cancelled),
            retried: read(&self.retried),
            workers_started: read(&self.workers_started),
            workers_lost: read(&self.workers_lost),
            workers_retired: read(&self.workers_retired),
        }
    }
}
