//! The queue of the pool: the tasks that have not started, so that they can be cancelled, and the
//! number of those that run, so that the end of the pool can wait for them.
//!
//! Single tasks cannot be removed from rayon's own queue. So rayon is given one job per task that
//! only calls [`Waiting::run_next`], which runs the task that has waited longest. If a task was
//! cancelled, one of these calls finds no task and does nothing.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use farm_core::TaskId;
use farm_core::backend::{CancelScope, PoolRef, Wakers, wake_here};
use farm_os::fork::Here;
use parking_lot::{Condvar, Mutex, MutexGuard};

/// Ends a task: runs it if the argument is true, or else cancels it. Returns the waker of the
/// caller that waits for the task, for the caller of this function to wake.
type Job = Box<dyn FnOnce(bool) -> Option<Waker> + Send>;

pub(crate) struct Waiting {
    here: Here,
    wakers: Arc<Wakers>,
    state: Mutex<State>,
    idle: Condvar,
    /// Signalled for stand-ins, when there is a task or when they are to end.
    work: Condvar,
}

#[derive(Default)]
struct State {
    /// In the order of submission, which is that of ids.
    jobs: BTreeMap<TaskId, Job>,
    /// How many tasks are running.
    running: usize,
    /// How many threads are in [`Waiting::stand_in`].
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

    /// Wakes `waker`. If that takes long, another thread runs tasks until it is done.
    fn wake_at_post(self: &Arc<Self>, waker: Option<Waker>) {
        let (ours, is_back) = (self.clone(), Arc::new(AtomicBool::new(false)));
        let until = is_back.clone();
        if self.wakers.wake_at_post(waker, move || ours.stand_in(&until)) {
            let _state = self.state.lock();
            is_back.store(true, Ordering::Relaxed);
            self.work.notify_all();
        }
    }

    /// Runs tasks in place of a thread until `is_back` is set.
    fn stand_in(self: &Arc<Self>, is_back: &AtomicBool) {
        let mut state = self.state.lock();
        state.stand_ins += 1;
        // Relaxed: it is changed and read under the lock.
        while !is_back.load(Ordering::Relaxed) && !state.closed {
            if state.jobs.is_empty() {
                self.work.wait(&mut state);
            } else {
                MutexGuard::unlocked(&mut state, || self.run_next());
            }
        }
        state.stand_ins -= 1;
    }

    /// Wakes on another thread if possible: wakers are foreign code, and may wait for something
    /// that this thread is to do next.
    fn wake(&self, wakers: impl IntoIterator<Item = Waker>) {
        wake_here(self.wakers.hand_over(wakers.into_iter().collect()));
    }

    pub(crate) fn cancel_all(&self) {
        let jobs = std::mem::take(&mut self.state.lock().jobs);
        self.wake(jobs.into_values().filter_map(|job| job(false)));
    }

    /// Ends the stand-ins and the threads that wake. It is called when the pool ends.
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

/// Decrements the number of running tasks when it is dropped, also by a panic.
struct Running<'a>(&'a Waiting);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
        self.0.idle.notify_all();
    }
}

impl PoolRef for Waiting {
    /// A task that runs cannot be stopped.
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
