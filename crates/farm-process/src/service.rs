//! The service: the master's decisions, carried out.
//!
//! All state is behind one lock. Whoever brings an event (a caller that submits, the service thread that
//! reads answers, a thread that has started a worker) takes the lock, tells the master, and sends what
//! the master wants sent; no send waits, see [`crate::transport`]. Outcomes are delivered after the lock
//! is released, because that wakes foreign code.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farm_core::{
    Action, Cancel, Counters, Deliver, Delivery, Failure, FarmError, FromWorker, Loss, Mailbox,
    Master, Passengers, Payload, Task, TaskError, TaskId, ToWorker, WorkerId, codec,
};
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::meeting;
use crate::settings::Settings;
use crate::start::{self, StartError};
use crate::transport::{Body, Down, Up, WINDOW, receive, send};
use crate::watch::Watch;

/// How long `shutdown` waits for workers that have nothing left to do before it kills them.
const GRACE: Duration = Duration::from_secs(2);

/// What the threads of a pool share.
pub(crate) struct Service {
    pub(crate) settings: Settings,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) watch: Watch,
    pub(crate) counters: Counters,
    state: Mutex<State>,
    /// Signalled when a worker has come up or failed to, and when the pool has become idle or broken.
    changed: Condvar,
    up: Mutex<IpcSender<Up>>,
}

struct State {
    master: Master,
    mailbox: Mailbox,
    workers: HashMap<WorkerId, Worker>,
    /// Workers that are being started and have neither come up nor failed.
    starting: HashSet<WorkerId>,
    closed: bool,
    /// Outcomes that are kept until the workers are dead; see [`Service::close`].
    kept: Vec<Delivery>,
    last_start_error: Option<StartError>,
}

enum Worker {
    /// Its process is on the way to the meeting place; `None` once they have met.
    Starting { address: Option<String> },
    /// It takes tasks.
    Up { down: IpcSender<Down> },
}

impl Service {
    pub(crate) fn new(
        settings: Settings,
        workers: usize,
        up: IpcSender<Up>,
    ) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            environment: settings.worker_environment(),
            settings,
            watch: Watch::new()?,
            counters: Counters::default(),
            state: Mutex::new(State {
                master: Master::new(workers, WINDOW),
                mailbox: Mailbox::default(),
                workers: HashMap::new(),
                starting: HashSet::new(),
                closed: false,
                kept: Vec::new(),
                last_start_error: None,
            }),
            changed: Condvar::new(),
            up: Mutex::new(up),
        }))
    }

    /// A new sender to the service thread.
    pub(crate) fn up(&self) -> IpcSender<Up> {
        self.up.lock().clone()
    }

    /// Lets the master act for the first time, which starts the workers.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.act(self.state.lock());
    }

    /// A task comes in.
    pub(crate) fn submit(
        self: &Arc<Self>,
        task: Task,
        slot: Arc<dyn Deliver>,
        passengers: Passengers,
    ) {
        let mut state = self.state.lock();
        state.mailbox.expect(task.id(), slot, passengers);
        state.master.submitted(task);
        self.act(state);
    }

    /// Takes back a task that no worker has.
    pub(crate) fn cancel(self: &Arc<Self>, task: TaskId) -> bool {
        let mut state = self.state.lock();
        let cancelled = state.master.cancel(task);
        self.act(state);
        cancelled
    }

    /// The body of the service thread.
    pub(crate) fn run(self: &Arc<Self>, answers: &IpcReceiver<Up>) {
        loop {
            match receive(answers) {
                Ok(Up::Message { worker, head, body }) => self.answered(worker, head, body),
                Ok(Up::Ended { worker, pid, signal, code }) => {
                    self.lost(Loss { worker, pid, signal, code });
                }
                Ok(Up::Closed) => return,
                // What has arrived cannot be read, and does not tell who sent it. So all workers are
                // replaced: an answer that is missed would be waited for without end.
                Err(_) => self.watch.kill_present(),
            }
        }
    }

    fn answered(self: &Arc<Self>, worker: WorkerId, head: FromWorker, body: Body) {
        let FromWorker::Done { task, attempt, returned } = head;
        let outcome = match (returned, body.open()) {
            (true, Ok(result)) => Ok(result),
            (true, Err(reason)) => Err(Failure::Undelivered(reason)),
            (false, failure) => Err(failure
                .and_then(|bytes| codec::decode(bytes.as_ref()).map_err(|error| error.to_string()))
                .unwrap_or_else(Failure::Undelivered)),
        };
        let mut state = self.state.lock();
        state.master.done(worker, task, attempt, outcome);
        self.act(state);
    }

    fn lost(self: &Arc<Self>, loss: Loss) {
        self.counters.worker_lost();
        let mut state = self.state.lock();
        state.workers.remove(&loss.worker);
        state.master.worker_lost(loss);
        self.act(state);
    }

    /// The meeting place of a worker that is being started.
    pub(crate) fn expect_at(&self, worker: WorkerId, address: String) {
        self.state.lock().workers.insert(worker, Worker::Starting { address: Some(address) });
    }

    /// Somebody has come to the meeting place of a worker.
    pub(crate) fn met(&self, worker: WorkerId) {
        if let Some(Worker::Starting { address }) = self.state.lock().workers.get_mut(&worker) {
            *address = None;
        }
    }

    /// The watch has seen a worker die.
    pub(crate) fn ended(self: &Arc<Self>, loss: Loss, late: bool) {
        let mut state = self.state.lock();
        match state.workers.get_mut(&loss.worker) {
            Some(Worker::Starting { address }) => {
                let address = address.take();
                let reason = if late {
                    format!("it took longer than {:?}", self.settings.start_timeout)
                } else {
                    format!(
                        "{loss} before it was ready; is farm_process::init() the first line of main?"
                    )
                };
                let error = StartError { pid: loss.pid, reason };
                self.settle_start(state, loss.worker, Err(error));
                if let Some(address) = address {
                    meeting::call_off(&address);
                }
            }
            Some(Worker::Up { .. }) => {
                drop(state);
                let up = self.up();
                let Loss { worker, pid, signal, code } = loss;
                if send(&up, Up::Ended { worker, pid, signal, code }).is_err() {
                    self.lost(Loss { worker, pid, signal, code });
                }
            }
            None => {}
        }
    }

    /// A worker has come up, or has not.
    pub(crate) fn started(
        self: &Arc<Self>,
        worker: WorkerId,
        outcome: Result<IpcSender<Down>, StartError>,
    ) {
        self.settle_start(self.state.lock(), worker, outcome);
    }

    /// Settles how a start went. The first to speak counts, be it the thread that starts the worker or the
    /// watch that has seen it die.
    fn settle_start(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        worker: WorkerId,
        outcome: Result<IpcSender<Down>, StartError>,
    ) {
        if !state.starting.remove(&worker) {
            return;
        }
        state.workers.remove(&worker);
        match outcome {
            // It ends by itself when it finds its channel closed.
            Ok(_) if state.closed => {}
            Ok(down) => {
                self.watch.came_up(worker);
                self.counters.worker_started();
                state.workers.insert(worker, Worker::Up { down });
                state.master.worker_ready(worker);
            }
            Err(error) => state.start_failed(worker, error),
        }
        self.changed.notify_all();
        self.act(state);
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

    /// Waits until every task has its outcome.
    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while !state.mailbox.is_empty() {
            self.changed.wait(&mut state);
        }
    }

    /// Ends the workers, gently if they have nothing to do, and then what is left to do as cancelled.
    ///
    /// Those outcomes are kept until the workers are dead: what they can write to is lent to nobody before.
    pub(crate) fn close(self: &Arc<Self>, gently: bool) {
        let mut state = self.state.lock();
        state.closed = true;
        state.master.close();
        // A worker whose channel is closed ends by itself.
        state.workers.retain(|_, worker| matches!(worker, Worker::Starting { .. }));
        if !gently {
            self.watch.kill_all();
        }
        self.act(state);

        let mut patience = Instant::now() + GRACE;
        let mut state = self.state.lock();
        while !state.starting.is_empty() {
            if self.changed.wait_until(&mut state, patience).timed_out() {
                self.watch.kill_all();
                patience += GRACE;
            }
        }
        drop(state);
        if gently && !self.watch.wait_until_none_left(Some(patience)) {
            self.watch.kill_all();
        }
        self.watch.wait_until_none_left(None);
        let kept = std::mem::take(&mut self.state.lock().kept);
        kept.into_iter().for_each(Delivery::deliver);
        self.watch.close();
        let _ = send(&self.up(), Up::Closed);
    }

    /// Carries out what the master has decided; delivers outcomes once the lock is released.
    fn act(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        let mut deliveries = Vec::new();
        while let Some(action) = state.master.next_action() {
            match action {
                Action::Start(worker) => {
                    state.starting.insert(worker);
                    if let Err(error) = start::start(self, worker) {
                        state.starting.remove(&worker);
                        state.start_failed(worker, error);
                        self.changed.notify_all();
                    }
                }
                Action::Send(worker, task) => self.send(&mut state, worker, &task),
                Action::Complete(task, outcome) => {
                    deliveries.extend(self.settle(&mut state, task, outcome));
                }
            }
        }
        if state.closed {
            state.kept.append(&mut deliveries);
        }
        if state.mailbox.is_empty() || state.master.broken().is_some() {
            self.changed.notify_all();
        }
        drop(state);
        deliveries.into_iter().for_each(Delivery::deliver);
    }

    fn send(&self, state: &mut State, worker: WorkerId, task: &Task) {
        let Some(Worker::Up { down }) = state.workers.get(&worker) else { return };
        let (id, attempt) = (task.id(), task.attempt);
        let body = match Body::new((*task.argument).as_ref()) {
            Ok(body) => body,
            Err(reason) => {
                state.master.done(worker, id, attempt, Err(Failure::Unsent(reason)));
                return;
            }
        };
        let head = ToWorker::Run { task: id, attempt, function: task.function };
        let sent = send(down, Down::Task { head, body });
        state.mailbox.sent(id);
        if sent.is_err() {
            // It is dead, and the watch will say so; or it cannot be reached, and has to be.
            self.watch.kill(worker);
        }
    }

    fn settle(
        &self,
        state: &mut State,
        task: TaskId,
        outcome: Result<Payload, TaskError>,
    ) -> Option<Delivery> {
        self.counters.ended(outcome.as_ref().err());
        state.mailbox.close(task, outcome)
    }
}

impl State {
    fn start_failed(&mut self, worker: WorkerId, error: StartError) {
        self.master.start_failed(worker, &error.reason);
        self.last_start_error = Some(error);
    }
}

/// What a handle asks to cancel its task.
pub(crate) struct Canceller(pub(crate) Arc<Service>);

impl Cancel for Canceller {
    fn cancel(&self, task: TaskId) -> bool {
        self.0.cancel(task)
    }
}
