//! The tasks that no thread has yet, so that they can be cancelled, and a count of those that run, so
//! that the pool's end can wait for them.
//!
//! rayon's queue cannot be searched. So it is given one token per task, and whoever gets a token takes
//! the task that has waited longest; a token that finds nothing is one whose task was cancelled.

use std::collections::BTreeMap;

use farm_core::{Home, Reach, TaskId};
use parking_lot::{Condvar, Mutex};

/// A task; the argument says whether to run it or to end it as cancelled.
type Job = Box<dyn FnOnce(bool) + Send>;

#[derive(Default)]
pub(crate) struct Waiting {
    state: Mutex<State>,
    idle: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order of submission, which is that of ids.
    jobs: BTreeMap<TaskId, Job>,
    running: usize,
}

impl Waiting {
    pub(crate) fn push(&self, task: TaskId, job: Job) {
        self.state.lock().jobs.insert(task, job);
    }

    /// Runs the task that has waited longest, if there is one.
    pub(crate) fn run_next(&self) {
        let job = {
            let mut state = self.state.lock();
            let Some((_, job)) = state.jobs.pop_first() else { return };
            state.running += 1;
            job
        };
        let _running = Running(self);
        job(true);
    }

    pub(crate) fn cancel_all(&self) {
        let jobs = std::mem::take(&mut self.state.lock().jobs);
        for job in jobs.into_values() {
            job(false);
        }
    }

    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while state.running > 0 || !state.jobs.is_empty() {
            self.idle.wait(&mut state);
        }
    }
}

/// Counts a job down when it ends, in whatever way.
struct Running<'a>(&'a Waiting);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.idle.notify_all();
    }
}

impl Home for Waiting {
    /// What runs cannot be stopped.
    fn cancel(&self, task: TaskId, _reach: Reach) -> bool {
        let job = self.state.lock().jobs.remove(&task);
        let was_there = job.is_some();
        if let Some(job) = job {
            job(false);
            self.idle.notify_all();
        }
        was_there
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tasks waiting", self.state.lock().jobs.len())
    }
}
