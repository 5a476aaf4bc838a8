//! What a pool has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::error::TaskError;

/// Counts of one pool since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks submitted.
    pub submitted: u64,
    /// Tasks that returned a value.
    pub completed: u64,
    /// Tasks that ended in an error other than being cancelled.
    pub failed: u64,
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Attempts that failed and were made again.
    pub retried: u64,
    /// Workers that came up, replacements included.
    pub workers_started: u64,
    /// Workers that died unplanned, or had to be killed.
    pub workers_lost: u64,
    /// Workers that were replaced as planned, after their number of tasks.
    pub workers_retired: u64,
}

/// The counters behind [`Stats`].
///
/// Each is a count of its own that orders nothing, hence `Relaxed` throughout.
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
    /// So many tasks were submitted.
    pub fn submitted(&self, tasks: u64) {
        self.submitted.fetch_add(tasks, Ordering::Relaxed);
    }

    /// So many tasks ended, with this error if any.
    pub fn ended(&self, tasks: u64, error: Option<&TaskError>) {
        let counter = match error {
            None => &self.completed,
            Some(TaskError::Cancelled { .. }) => &self.cancelled,
            Some(_) => &self.failed,
        };
        counter.fetch_add(tasks, Ordering::Relaxed);
    }

    /// A task could not even be sent.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// So many more failed attempts are made again.
    pub fn retried(&self, attempts: u64) {
        self.retried.fetch_add(attempts, Ordering::Relaxed);
    }

    /// A worker came up.
    pub fn worker_started(&self) {
        self.workers_started.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker died unplanned.
    pub fn worker_lost(&self) {
        self.workers_lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A worker has done its number of tasks.
    pub fn worker_retired(&self) {
        self.workers_retired.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
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
