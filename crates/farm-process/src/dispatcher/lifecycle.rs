//! What happens to workers: they are started, come up, are lost, retire.

use std::sync::Arc;

use farm_core::backend::Master;
use farm_core::{FarmError, WorkerId};
use parking_lot::MutexGuard;

use super::Dispatcher;
use super::state::State;
use super::workers::{Died, StartError, Worker};
use crate::pool::process::Process;
use crate::pool::settings::GRACE;
use crate::spawn::cores;
use crate::supervise::watch::End;
use crate::transport::control::Up;
use crate::transport::ipc::send;
use crate::transport::outcome::outcome;
use crate::transport::{Link, WorkerEvent};

impl Dispatcher {
    /// The workers that are up, oldest first.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let state = self.state.lock();
        let process = |(worker, pid)| {
            let task = state.master.task_of(worker).map(|task| task.name.clone());
            Process { worker, pid, task }
        };
        state.workers.up().map(process).collect()
    }

    /// Notes the process of a worker that is being started, and the link to it.
    pub(crate) fn started(&self, worker: WorkerId, pid: u32, link: Box<dyn Link>) {
        self.state.lock().workers.insert(worker, pid, link);
    }

    /// Puts a new worker on a core of its own. If that fails, it stays where the system puts it.
    pub(crate) fn set_apart(&self, worker: WorkerId, pid: u32) {
        let _ = cores::set_apart(pid, self.state.lock().workers.others(worker));
    }

    /// A worker has reported that it is ready.
    pub(super) fn ready(self: &Arc<Self>, worker: WorkerId) {
        let mut state = self.lock();
        let is_closed = state.closed;
        if !state.workers.come_up(worker, is_closed) {
            return;
        }
        self.watch.came_up(worker);
        if !is_closed {
            self.counters.worker_started();
            self.renew_views();
            state.master.on_worker_ready(worker);
        }
        self.changed.notify_all();
        self.act(state);
    }

    /// A worker has reported that it cannot work.
    pub(super) fn unready(self: &Arc<Self>, worker: WorkerId, reason: String) {
        let pid = self.state.lock().workers.pid_at_start(worker);
        let Some(pid) = pid else { return };
        self.start_failed(worker, StartError { pid, reason });
        self.watch.should_end(worker, self.watch.clock.now() + GRACE);
    }

    /// The start of a worker has failed.
    pub(crate) fn start_failed(self: &Arc<Self>, worker: WorkerId, error: StartError) {
        self.settle_failed_start(self.lock(), worker, error);
    }

    /// The thread that starts a worker, the watch that has seen it die, and the worker itself may
    /// each report a failed start. Only the first report counts.
    fn settle_failed_start(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        worker: WorkerId,
        error: StartError,
    ) {
        let reason = error.reason.clone();
        if state.workers.fail_start(worker, error) {
            state.master.on_start_failed(worker, &reason);
            self.changed.notify_all();
            self.act(state);
        }
    }

    /// The watch has seen a worker die.
    pub(crate) fn ended(self: &Arc<Self>, worker: WorkerId, End { loss, late }: End) {
        let died = self.lock().workers.mark_dead(worker, loss, late, |loss| {
            if late {
                format!("it took longer than {:?}", self.settings.start_timeout)
            } else {
                format!("{loss} before it was ready")
            }
        });
        if died == Some(Died::Up) {
            self.renew_views();
        }
        if died.is_some() {
            // This message goes through the workers' own channel, so it arrives after the last
            // message of the dead worker.
            if send(&self.up(), Up::Ended { worker }).is_err() {
                self.lost(worker);
            }
        }
        if died == Some(Died::Up) {
            self.wake_receiver();
        }
    }

    /// A worker is dead, and all its messages by the control channel have been received.
    pub(super) fn lost(self: &Arc<Self>, worker: WorkerId) {
        let mut state = self.lock();
        match state.workers.take_dead(worker) {
            Some(Worker::Dead { loss, mut link }) => {
                self.counters.worker_lost();
                receive_last(&mut state.master, worker, &mut *link);
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

    /// Has a worker end that has run as many tasks as it should.
    pub(super) fn retire(&self, state: &mut State, worker: WorkerId) {
        if state.workers.retire(worker) {
            self.renew_views();
            self.counters.worker_retired();
            self.watch.should_end(worker, self.watch.clock.now() + GRACE);
        }
    }

    /// Waits until a worker is up, or until none will come up.
    pub(crate) fn wait_until_up(&self) -> Result<(), FarmError> {
        let mut state = self.state.lock();
        loop {
            if state.master.has_workers() {
                return Ok(());
            }
            if state.master.broken().is_some() {
                let reason = "it ended as soon as it was up".to_owned();
                let error = state.workers.take_start_error();
                let StartError { pid, reason } = error.unwrap_or(StartError { pid: 0, reason });
                return Err(FarmError::Start { pid, reason });
            }
            self.changed.wait(&mut state);
        }
    }
}

/// Receives the last answers of a dead worker from its link, and the results that it had no time to
/// send.
fn receive_last(master: &mut Master, worker: WorkerId, link: &mut dyn Link) {
    while let Ok(Some(event)) = link.poll() {
        if let WorkerEvent::Done { answer, ending, body } = event {
            master.on_answer(worker, answer, outcome(ending, Ok(body)));
        }
    }
    if let Some((answer, results)) = link.left_behind(master.answered(worker)) {
        master.on_answer(worker, answer, Ok(results));
    }
}
