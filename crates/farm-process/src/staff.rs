//! The workers as the service knows them: they are started, come up, are lost, retire.

use std::sync::Arc;

use farm_core::backend::Master;
use farm_core::{FarmError, Loss, TaskName, WorkerId};
use parking_lot::MutexGuard;

use crate::cores;
use crate::lane::{MasterEnd, WorkerEvent};
use crate::link::Link;
use crate::service::{Service, State, outcome};
use crate::settings::GRACE;
use crate::start::StartError;
use crate::transport::{Up, send};
use crate::watch::End;

pub(crate) enum Worker {
    /// Its process gets ready; `link` is how it will be reached.
    Starting { pid: u32, link: Option<Link>, has_reported: bool },
    /// It takes tasks.
    Up { pid: u32, link: Link, kept: Kept },
    /// It is dead, and its last answers may still be on the way.
    Dead { loss: Loss, link: Link },
    /// It has died before it was ready, and what it has to say of that may still be on the way.
    DeadAtStart { error: StartError, has_reported: bool },
}

/// What a worker may keep of dropped arrays.
#[derive(Clone, Copy, Default)]
pub(crate) enum Kept {
    /// Nothing.
    #[default]
    Nothing,
    /// It has been told to let go of it.
    Requested,
    /// More was dropped since it was told.
    More,
}

/// A worker process that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id, which is that of its process group as well.
    pub pid: u32,
    /// The task that it has been given, if it has one.
    pub task: Option<Arc<TaskName>>,
}

impl Service {
    /// The workers that are up, oldest first.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let state = self.state.lock();
        let mut processes: Vec<_> = state
            .workers
            .iter()
            .filter_map(|(worker, known)| {
                let Worker::Up { pid, .. } = known else { return None };
                let task = state.master.task_of(*worker).map(|task| task.name.clone());
                Some(Process { worker: *worker, pid: *pid, task })
            })
            .collect();
        processes.sort_by_key(|process| process.worker);
        processes
    }

    /// The process of a worker that is being started.
    pub(crate) fn expect(&self, worker: WorkerId, pid: u32) {
        let starting = Worker::Starting { pid, link: None, has_reported: false };
        self.state.lock().workers.insert(worker, starting);
    }

    /// Puts a new worker on a core of its own. Where that cannot be, it stays where the system puts it.
    pub(crate) fn set_apart(&self, worker: WorkerId, pid: u32) {
        let state = self.state.lock();
        let others = state.workers.iter().filter_map(|(other, known)| match known {
            Worker::Starting { pid, .. } | Worker::Up { pid, .. } => {
                (*other != worker).then_some(*pid)
            }
            Worker::Dead { .. } | Worker::DeadAtStart { .. } => None,
        });
        let _ = cores::set_apart(pid, others);
    }

    /// A worker has come to where it learns that it is one.
    pub(crate) fn met(&self, worker: WorkerId) {
        if let Some(
            Worker::Starting { has_reported, .. } | Worker::DeadAtStart { has_reported, .. },
        ) = self.state.lock().workers.get_mut(&worker)
        {
            *has_reported = true;
        }
    }

    /// How a worker is reached that is about to be welcomed.
    pub(crate) fn has_met(&self, worker: WorkerId, new: Link) {
        if let Some(Worker::Starting { link, .. }) = self.state.lock().workers.get_mut(&worker) {
            *link = Some(new);
        }
    }

    /// A worker says that it is ready.
    pub(crate) fn ready(self: &Arc<Self>, worker: WorkerId) {
        let mut state = self.lock();
        let Some(Worker::Starting { pid, link, .. }) = state.workers.get_mut(&worker) else {
            return;
        };
        let (pid, Some(mut link)) = (*pid, link.take()) else { return };
        if !state.starting.remove(&worker) {
            return;
        }
        self.watch.came_up(worker);
        if state.closed {
            state.workers.remove(&worker);
            let _ = link.tell_to_end();
        } else {
            self.counters.worker_started();
            state.workers.insert(worker, Worker::Up { pid, link, kept: Kept::default() });
            self.staff_has_changed();
            state.master.on_worker_ready(worker);
        }
        self.changed.notify_all();
        self.act(state);
    }

    /// A worker says that it cannot work.
    pub(crate) fn unready(self: &Arc<Self>, worker: WorkerId, reason: String) {
        let pid = match self.state.lock().workers.get(&worker) {
            Some(Worker::Starting { pid, .. }) => *pid,
            Some(Worker::DeadAtStart { error, .. }) => error.pid,
            _ => return,
        };
        self.start_failed(worker, StartError { pid, reason });
        self.watch.should_end(worker, self.watch.clock.now() + GRACE);
    }

    /// A worker has not come up.
    pub(crate) fn start_failed(self: &Arc<Self>, worker: WorkerId, error: StartError) {
        self.settle_failed_start(self.lock(), worker, error);
    }

    /// The first to speak of a failed start counts, be it the thread that starts the worker, the watch that
    /// has seen it die, or the worker.
    fn settle_failed_start(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        worker: WorkerId,
        error: StartError,
    ) {
        if state.starting.remove(&worker) {
            state.workers.remove(&worker);
            state.start_failed(worker, error);
            self.changed.notify_all();
            self.act(state);
        }
    }

    /// The watch has seen a worker die.
    pub(crate) fn ended(self: &Arc<Self>, worker: WorkerId, End { loss, late }: End) {
        let mut state = self.lock();
        match state.workers.get_mut(&worker) {
            Some(Worker::Starting { has_reported, .. }) => {
                let reason = if late {
                    format!("it took longer than {:?}", self.settings.start_timeout)
                } else {
                    format!("{loss} before it was ready")
                };
                let has_reported = *has_reported || late;
                let error = StartError { pid: loss.pid, reason };
                state.workers.insert(worker, Worker::DeadAtStart { error, has_reported });
                self.follow(state, worker);
            }
            Some(Worker::Up { .. }) => {
                if let Some(Worker::Up { link, .. }) = state.workers.remove(&worker) {
                    state.workers.insert(worker, Worker::Dead { loss, link });
                    self.staff_has_changed();
                }
                self.follow(state, worker);
                self.wake_the_seat();
            }
            Some(Worker::Dead { .. } | Worker::DeadAtStart { .. }) | None => {}
        }
    }

    /// Sends word of a death through the worker's own channel, behind the last that it has said.
    fn follow(self: &Arc<Self>, state: MutexGuard<'_, State>, worker: WorkerId) {
        drop(state);
        if send(&self.up(), Up::Ended { worker }).is_err() {
            self.lost(worker);
        }
    }

    /// A worker is dead, and all that it had said is known.
    pub(crate) fn lost(self: &Arc<Self>, worker: WorkerId) {
        let mut state = self.lock();
        match state.workers.remove(&worker) {
            Some(Worker::Dead { loss, mut link }) => {
                self.counters.worker_lost();
                if let Some(lane) = link.lane() {
                    hear_the_last_of(&mut state.master, worker, lane);
                }
                state.master.on_worker_lost(loss, link.taken_up());
                self.act(state);
            }
            Some(Worker::DeadAtStart { mut error, has_reported }) => {
                if !has_reported {
                    error.reason += "; is farm_process::init() the first line of main?";
                }
                self.settle_failed_start(state, worker, error);
            }
            _ => {}
        }
    }

    /// Tells workers to let go of what the master has dropped. Each has at most one such message on its way.
    pub(crate) fn request_eviction(&self, state: &mut State) {
        for worker in state.workers.values_mut() {
            if let Worker::Up { link, kept, .. } = worker {
                *kept = match kept {
                    // Where it cannot be reached, the watch or the next task will see to it.
                    Kept::Nothing => {
                        link.request_eviction().map_or(Kept::Nothing, |()| Kept::Requested)
                    }
                    Kept::Requested | Kept::More => Kept::More,
                };
            }
        }
    }

    /// A worker has let go of what it was told of.
    pub(crate) fn on_evicted(&self, worker: WorkerId) {
        self.state.lock().on_evicted(worker);
    }

    /// Lets a worker go.
    pub(crate) fn retire(&self, state: &mut State, worker: WorkerId) {
        if let Some(Worker::Up { mut link, .. }) = state.workers.remove(&worker) {
            let _ = link.tell_to_end();
            self.staff_has_changed();
            self.counters.worker_retired();
            self.watch.should_end(worker, self.watch.clock.now() + GRACE);
        }
    }

    /// Waits until a worker is up.
    pub(crate) fn wait_until_up(&self) -> Result<(), FarmError> {
        let mut state = self.state.lock();
        loop {
            if state.master.has_workers() {
                return Ok(());
            }
            if state.master.broken().is_some() {
                let StartError { pid, reason } =
                    state.last_start_error.take().unwrap_or(StartError {
                        pid: 0,
                        reason: "it ended as soon as it was up".to_owned(),
                    });
                return Err(FarmError::Start { pid, reason });
            }
            self.changed.wait(&mut state);
        }
    }
}

/// Hears what a worker that is dead has said, and what it had no time to say.
fn hear_the_last_of(master: &mut Master, worker: WorkerId, lane: &mut MasterEnd) {
    while let Ok(Some(news)) = lane.poll() {
        if let WorkerEvent::Done { answer, ending, body } = news {
            master.on_answer(worker, answer, outcome(ending, Ok(body)));
        }
    }
    if let Some((answer, results)) = lane.left_behind(master.answered(worker)) {
        master.on_answer(worker, answer, Ok(results));
    }
}

impl State {
    /// A worker has let go of what it was told of.
    pub(crate) fn on_evicted(&mut self, worker: WorkerId) {
        if let Some(Worker::Up { link, kept, .. }) = self.workers.get_mut(&worker) {
            *kept = match kept {
                Kept::More => link.request_eviction().map_or(Kept::Nothing, |()| Kept::Requested),
                Kept::Requested | Kept::Nothing => Kept::Nothing,
            };
        }
    }

    pub(crate) fn start_failed(&mut self, worker: WorkerId, error: StartError) {
        self.master.on_start_failed(worker, &error.reason);
        self.last_start_error = Some(error);
    }
}
