//! The tasks that no thread has yet, so that they can be cancelled, and a count of those that run, so
//! that the pool's end can wait for them.
//!
//! rayon's queue cannot be searched. So it is given one token per task, and whoever gets a token takes
//! the task that has waited longest; a token that finds nothing is one whose task was cancelled.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use farm_core::TaskId;
use farm_core::backend::{CancelScope, PoolRef, Wakers, wake_here};
use farm_os::fork::Here;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// A task; the argument says whether to run it or to end it as cancelled. Who waits for it is then to be woken.
type Job = Box<dyn FnOnce(bool) -> Option<Waker> + Send>;

pub(crate) struct Waiting {
    here: Here,
    wakers: Arc<Wakers>,
    state: Mutex<State>,
    idle: Condvar,
    /// Signalled for those that stand in, when there is a task or they are to leave.
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order of submission, which is that of ids.
    jobs: BTreeMap<TaskId, Job>,
    running: usize,
    stand_ins: usize,
    closed: bool,
}

impl Waiting {
    pub(crate) fn new() -> io::Result<Self> {
        let wakers = Wakers::new(|name, body| {
            std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
        });
        let (state, idle, work) = (Mutex::default(), Condvar::new(), Condvar::new());
        Ok(Self { here: Here::new()?, wakers, state, idle, work })
    }

    pub(crate) fn push(&self, task: TaskId, job: Job) {
        let mut state = self.state.lock();
        state.jobs.insert(task, job);
        if state.stand_ins > 0 {
            self.work.notify_one();
        }
    }

    /// Runs the task that has waited longest, if there is one.
    pub(crate) fn run_next(self: &Arc<Self>) {
        let job = {
            let mut state = self.state.lock();
            let Some((_, job)) = state.jobs.pop_first() else { return };
            state.running += 1;
            job
        };
        let running = Running(self);
        let waker = job(true);
        drop(running);
        if waker.is_some() {
            self.wake_at_post(waker);
        }
    }

    /// If this takes long, another thread runs tasks until this one goes on.
    fn wake_at_post(self: &Arc<Self>, waker: Option<Waker>) {
        let (ours, is_back) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let until = is_back.clone();
        if self.wakers.wake_at_post(waker, move || ours.stand_in(&until)) {
            let _state = self.state.lock();
            is_back.store(true, Ordering::Relaxed);
            self.work.notify_all();
        }
    }

    /// Runs tasks for a thread until it is back.
    fn stand_in(self: &Arc<Self>, is_back: &AtomicBool) {
        let mut state = self.state.lock();
        state.stand_ins += 1;
        // Changed under the lock.
        while !is_back.load(Ordering::Relaxed) && !state.closed {
            if state.jobs.is_empty() {
                self.work.wait(&mut state);
            } else {
                MutexGuard::unlocked(&mut state, || self.run_next());
            }
        }
        state.stand_ins -= 1;
    }

    /// Wakers are foreign code, and may wait for what this thread is to run next.
    fn wake(&self, wakers: impl IntoIterator<Item = Waker>) {
        wake_here(self.wakers.hand_over(wakers.into_iter().collect()));
    }

    pub(crate) fn cancel_all(&self) {
        let jobs = std::mem::take(&mut self.state.lock().jobs);
        self.wake(jobs.into_values().filter_map(|job| job(false)));
    }

    /// The pool ends.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.work.notify_all();
        self.wakers.close();
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

impl PoolRef for Waiting {
    /// What runs cannot be stopped.
    fn cancel(&self, task: TaskId, _reach: CancelScope) -> bool {
        let job = self.state.lock().jobs.remove(&task);
        let was_there = job.is_some();
        if let Some(job) = job {
            let waker = job(false);
            self.idle.notify_all();
            self.wake(waker);
        }
        was_there
    }

    fn is_forked(&self) -> bool {
        !self.here.is_here()
    }
}

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tasks waiting", self.state.lock().jobs.len())
    }
}
