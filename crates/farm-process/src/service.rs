//! The service: the master's decisions, carried out.
//!
//! All state is behind one lock. Whoever brings an event (a caller that submits, the service thread that
//! reads answers, the watch that sees time pass and workers die, a thread that starts a worker) takes the
//! lock, tells the master, and sends what the master wants sent; no send waits, see [`crate::transport`].
//! Outcomes are delivered after the lock is released, and who waits for them is woken by threads that do nothing else
//! ([`Wakers`]), because that is foreign code.
//!
//! Here are the tasks; the workers that come and go are in [`crate::staff`], the end in [`crate::closing`].

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::task::Waker;
use std::time::{Duration, Instant};

use farm_core::backend::{
    Action, Answer, CancelScope, Counters, Deliver, Delivery, Ending, Failure, FromWorker, Loans,
    Mailbox, Master, Payload, PoolRef, Readiness, Rules, StealAmount, StealReason, Task, Wakers,
};
use farm_core::codec::{self, Form};
use farm_core::loan::eviction::Listener;
use farm_core::{Stage, TaskError, TaskId, WorkerId};
use ipc_channel::ipc::IpcSender;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::alarm::earlier;
use crate::clock::BEAT;
use crate::link::Unsent;
use crate::origin::Origin;
use crate::seat::Lanes;
use crate::settings::{Settings, Transport};
use crate::staff::Worker;
use crate::start::{Start, StartError};
use crate::transport::{self, Answers, Body, Contained, Unheard, Up, WINDOW};
use crate::watch::{Limits, Wanted, Watch};
use crate::{lane, threads};
use farm_os::fork::Here;

/// How long after its last work a pool keeps memory for more.
const REST: Duration = Duration::from_secs(3);

/// What the threads of a pool share.
pub(crate) struct Service {
    pub(crate) settings: Settings,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) origin: Origin,
    pub(crate) watch: Watch,
    pub(crate) counters: Counters,
    pub(crate) state: Mutex<State>,
    /// Signalled when a worker has come up or failed to, and when the pool has become idle or broken.
    pub(crate) changed: Condvar,
    /// Signalled when fewer tasks wait than `max_queued`.
    room: Condvar,
    up: Mutex<Contained<IpcSender<Up>>>,
    pub(crate) starts: Sender<Start>,
    /// The program has dropped arrays since the last beat.
    has_dropped: AtomicBool,
    /// Where tasks travel by lanes.
    pub(crate) lanes: Option<Lanes>,
    /// Who wakes those that wait for outcomes.
    pub(crate) wakers: Arc<Wakers>,
    here: Here,
}

pub(crate) struct State {
    pub(crate) master: Master,
    pub(crate) mailbox: Mailbox,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    /// Workers that are being started and have neither come up nor failed.
    pub(crate) starting: HashSet<WorkerId>,
    pub(crate) closed: bool,
    /// Outcomes that are kept until the workers are dead; see [`Service::close`].
    pub(crate) kept: Vec<Delivery>,
    pub(crate) last_start_error: Option<StartError>,
    /// Something has been submitted since the last beat.
    active: bool,
    /// When there was work last, if memory is kept from then, and how long after that it goes back.
    works_until: Option<Duration>,
    rest: Duration,
    /// Some task has a limit of time, so that the time of each event matters.
    keeps_time: bool,
}

impl Listener for Service {
    fn gone(&self) {
        self.has_dropped.store(true, Ordering::Release);
        self.watch.wake_by(Duration::ZERO);
    }
}

impl Service {
    pub(crate) fn new(
        settings: Settings,
        workers: usize,
        up: IpcSender<Up>,
        starts: Sender<Start>,
    ) -> std::io::Result<Arc<Self>> {
        let lanes = match settings.transport {
            Transport::Lanes => Some(Lanes::new(workers)?),
            Transport::Channel => None,
        };
        let window = lanes.as_ref().map_or(WINDOW, |_| lane::WINDOW);
        let rules = Rules { workers, window, tasks_per_worker: settings.tasks_per_worker };
        let limits =
            Limits { stopped_after: settings.stopped_after, memory: settings.memory_limit };
        Ok(Arc::new(Self {
            environment: settings.worker_environment(),
            origin: Origin::new()?,
            settings,
            watch: Watch::new(limits)?,
            counters: Counters::default(),
            state: Mutex::new(State {
                master: Master::new(rules),
                mailbox: Mailbox::default(),
                workers: BTreeMap::new(),
                starting: HashSet::new(),
                closed: false,
                kept: Vec::new(),
                last_start_error: None,
                active: false,
                works_until: None,
                rest: REST,
                keeps_time: false,
            }),
            changed: Condvar::new(),
            room: Condvar::new(),
            up: Mutex::new(Contained::new(up)),
            starts,
            has_dropped: AtomicBool::new(false),
            lanes,
            wakers: Wakers::new(threads::spawn_for_wakers),
            here: Here::new()?,
        }))
    }

    /// Whether this is the process that made the pool, and no fork of it.
    pub(crate) fn is_here(&self) -> bool {
        self.here.is_here()
    }

    /// A new sender to the service thread.
    pub(crate) fn up(&self) -> IpcSender<Up> {
        self.up.lock().get().clone()
    }

    /// Lets the master act for the first time, which starts the workers.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.act(self.lock());
    }

    /// Takes the lock, and tells the master what time it is, if that matters; else each beat does.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if state.keeps_time {
            state.master.set_time(self.watch.clock.now());
        }
        state
    }

    /// A task comes in.
    pub(crate) fn submit(self: &Arc<Self>, mut task: Task, slot: Arc<dyn Deliver>, loans: Loans) {
        if let Some(lanes) = &self.lanes {
            // A thread of a pool is what makes room.
            let is_over = || threads::is_this_one_of_ours() || self.takes_nothing_more();
            lanes.put_beside_if_long(&mut task, is_over);
        }
        if task.policy.timeout.is_some() {
            self.state.lock().keeps_time = true;
        }
        let mut state = self.lock();
        if let Some(most) = self.settings.max_queued.filter(|_| !threads::is_this_one_of_ours()) {
            while state.master.queued() >= most && !state.closed && state.master.broken().is_none()
            {
                self.room.wait(&mut state);
            }
        }
        if !std::mem::replace(&mut state.active, true) {
            self.watch.wake_by(self.watch.clock.now() + BEAT);
        }
        state.mailbox.expect(task.id(), task.items.len(), slot, loans);
        state.master.on_submitted(task);
        // Who submits many tasks hears in passing what has become of others; else workers would wait for the service thread.
        if state.mailbox.len() > 1 {
            self.poll(&mut state);
        }
        self.act(state);
    }

    /// Whether what is submitted now fails at once.
    fn takes_nothing_more(&self) -> bool {
        let state = self.state.lock();
        state.closed || state.master.broken().is_some()
    }

    /// Takes back a task, and says whether that was possible.
    pub(crate) fn cancel(self: &Arc<Self>, task: TaskId, reach: CancelScope) -> bool {
        let mut state = self.lock();
        // What has been answered is no longer running, and what has not been started waits.
        self.poll(&mut state);
        let mut cancelled = state.steal_to_cancel(task);
        self.poll(&mut state);
        cancelled |= state.master.cancel(task, reach);
        self.act(state);
        cancelled
    }

    /// The watch has looked at the clock.
    pub(crate) fn beat(self: &Arc<Self>, now: Duration) -> Wanted {
        let mut state = self.state.lock();
        state.master.set_time(now);
        // What has ended in time has not run over it.
        if self.poll(&mut state) {
            self.wake_the_seat();
        }
        let at = state.master.tick(now);
        if self.has_dropped.swap(false, Ordering::AcqRel) {
            self.request_eviction(&mut state);
        }
        let was_active = std::mem::replace(&mut state.active, false);
        let busy = was_active || !state.mailbox.is_empty();
        let idle = self.rest(&mut state, now, busy);
        self.act(state);
        Wanted { at: earlier(at, idle), busy }
    }

    /// Once there has been no work for a while, the memory that was kept for more goes back. Says when to look again.
    fn rest(&self, state: &mut State, now: Duration, busy: bool) -> Option<Duration> {
        let since = if busy { now } else { state.works_until? };
        let after = if busy { REST } else { state.rest };
        state.works_until = Some(since);
        state.rest = after;
        if now >= since + after {
            // Results that nobody has read yet are looked at more and more seldom.
            state.rest = 2 * (now - since);
            if !self.give_back_idle(state) {
                state.works_until = None;
                return None;
            }
        }
        Some(since + state.rest)
    }

    /// The body of the service thread. If a waker keeps it for long, another thread goes on.
    pub(crate) fn run(self: &Arc<Self>, answers: &Arc<Mutex<Answers>>) {
        loop {
            let message = answers.lock().receive();
            match message {
                Ok(Up::Message { worker, head, body }) => {
                    let wakers = self.answered(worker, head, body);
                    if wakers.is_empty() {
                        continue;
                    }
                    let (ours, answers) = (self.clone(), answers.clone());
                    let stand_in = move || threads::as_ours(|| ours.run(&answers));
                    if self.wakers.wake_at_post(wakers, stand_in) {
                        return;
                    }
                }
                Ok(Up::Met { worker }) => self.met(worker),
                Ok(Up::Ready { worker }) => self.ready(worker),
                Ok(Up::Unready { worker, reason }) => self.unready(worker, reason),
                Ok(Up::Evict { worker }) => self.on_evicted(worker),
                Ok(Up::Ended { worker }) => self.lost(worker),
                Ok(Up::Closed) => return,
                Err(_) if self.is_over() => return,
                // What has arrived cannot be read, and does not tell who sent it. So all workers are
                // replaced: an answer that is missed would be waited for without end.
                Err(Unheard::Unreadable) => self.watch.kill_present(),
                Err(Unheard::Gone) => self.open_anew(&mut answers.lock()),
            }
        }
    }

    /// The pool has ended, and nothing more is to be heard.
    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.closed && state.starting.is_empty()
    }

    /// The program has closed the channel of the workers. They cannot answer, and are replaced.
    fn open_anew(self: &Arc<Self>, answers: &mut Answers) {
        let Ok((up, new)) = transport::open() else {
            std::thread::sleep(BEAT);
            return;
        };
        *answers = new;
        *self.up.lock() = Contained::new(up);
        self.watch.kill_present();
        // What was sent by the old channel of those that were dead before is lost.
        let state = self.state.lock();
        let dead =
            |worker: &Worker| matches!(worker, Worker::Dead { .. } | Worker::DeadAtStart { .. });
        let dead: Vec<_> =
            state.workers.iter().filter(|(_, w)| dead(w)).map(|(worker, _)| *worker).collect();
        drop(state);
        dead.into_iter().for_each(|worker| self.lost(worker));
    }

    #[must_use]
    fn answered(self: &Arc<Self>, worker: WorkerId, head: FromWorker, body: Body) -> Vec<Waker> {
        let FromWorker::Done { task, attempt, ending } = head;
        let outcome = outcome(ending, body.open());
        let mut state = self.lock();
        state.master.on_answer(worker, Answer::to(task, attempt), outcome);
        let deliveries = self.carry_out(state);
        if deliveries.is_empty() { Vec::new() } else { self.deliver(deliveries) }
    }

    /// Carries out what the master has decided; delivers outcomes once the lock is released.
    pub(crate) fn act(self: &Arc<Self>, state: MutexGuard<'_, State>) {
        let deliveries = self.carry_out(state);
        if !deliveries.is_empty() {
            let wakers = self.deliver(deliveries);
            threads::wake(&self.wakers, wakers);
        }
    }

    /// Carries out what the master has decided, and returns what is to be delivered.
    pub(crate) fn carry_out(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while let Some(action) = state.master.next_action() {
            match action {
                Action::Start(worker) => {
                    state.starting.insert(worker);
                    // The thread that starts workers ends after all else, so it is there.
                    let _ = self.starts.send(Start::Worker(worker));
                }
                Action::Send(worker, task) => self.send(&mut state, worker, &task),
                Action::Steal(worker, task, part) => {
                    state.steal_to_share(worker, task, part);
                }
                Action::Kill(worker) => self.watch.kill(worker),
                Action::Retire(worker) => self.retire(&mut state, worker),
                Action::Complete(task, items, outcome) => {
                    deliveries.extend(self.settle(&mut state, task, items, outcome));
                }
            }
        }
        let forgiven = state.master.take_forgiven();
        if forgiven > 0 {
            self.counters.retried(forgiven);
        }
        if let Some(at) = state.master.take_alarm() {
            self.watch.wake_by(at);
        }
        if state.closed {
            state.kept.append(&mut deliveries);
        }
        if state.mailbox.is_empty() || state.master.broken().is_some() {
            self.changed.notify_all();
        }
        if self.settings.max_queued.is_some_and(|most| state.master.queued() < most) {
            self.room.notify_all();
        }
        self.grant_spinning(&mut state);
        deliveries
    }

    /// Delivers outcomes to all but to those that are then to be woken, which is foreign code.
    #[must_use]
    pub(crate) fn deliver(&self, deliveries: Vec<Delivery>) -> Vec<Waker> {
        let wakers = deliveries.into_iter().filter_map(Delivery::deliver).collect();
        self.wake_who_waits();
        wakers
    }

    fn send(&self, state: &mut State, worker: WorkerId, task: &Task) {
        let Some(Worker::Up { link, .. }) = state.workers.get_mut(&worker) else { return };
        match link.send(task) {
            Ok(()) => state.mailbox.sent(task.id()),
            Err(Unsent::Refused(reason)) => {
                state.master.on_unsent(worker, task.id(), task.attempt, reason);
            }
            Err(Unsent::Unreachable) => {
                state.mailbox.sent(task.id());
                self.watch.kill(worker);
            }
        }
    }

    fn settle(
        &self,
        state: &mut State,
        task: TaskId,
        items: Range<u32>,
        outcome: Result<Payload, TaskError>,
    ) -> Option<Delivery> {
        self.counters.ended(items.len() as u64, outcome.as_ref().err());
        state.mailbox.close(task, items, outcome)
    }
}

impl State {
    fn steal_to_share(&mut self, worker: WorkerId, task: TaskId, part: StealAmount) {
        let items = match self.workers.get_mut(&worker) {
            Some(Worker::Up { link, .. }) => link.lane().and_then(|lane| lane.steal(task, part)),
            _ => None,
        };
        let items = items.unwrap_or(0..0);
        self.master.on_stolen(worker, task, items, StealReason::Share);
    }

    /// Takes back what workers have been sent of a task and have not started; says whether there was any.
    fn steal_to_cancel(&mut self, task: TaskId) -> bool {
        let mut any = false;
        for worker in self.master.sent_to(task) {
            let Some(Worker::Up { link, .. }) = self.workers.get_mut(&worker) else { continue };
            while let Some(items) = link.lane().and_then(|lane| lane.steal(task, StealAmount::All))
            {
                self.master.on_stolen(worker, task, items, StealReason::Cancel);
                any = true;
            }
        }
        any
    }
}

/// What an answer says of its task. How that has ended is known even if the body is not.
pub(crate) fn outcome(ending: Ending, body: Result<Payload, String>) -> Result<Payload, Failure> {
    let failure = || {
        let bytes = body.as_ref().map_err(String::clone)?;
        // A copy: the worker may still write there.
        codec::decode::<Failure>(&bytes.to_vec()).map_err(|error| error.to_string())
    };
    let lost = |stage| move |reason| Failure::Decode { stage, reason };
    match ending {
        Ending::Returned => body.map_err(lost(Stage::Result)),
        Ending::Described => {
            body.map(|result| result.in_form(Form::Described)).map_err(lost(Stage::Result))
        }
        Ending::Failed => Err(failure().unwrap_or_else(lost(Stage::Failure))),
        Ending::Escaped => Err(match failure() {
            Ok(escaped @ Failure::Escaped { .. }) => escaped,
            _ => Failure::Escaped { handles: vec!["handles whose names were lost".to_owned()] },
        }),
    }
}

/// What a handle knows of its pool.
pub(crate) struct Handles(pub(crate) Arc<Service>);

impl PoolRef for Handles {
    fn cancel(&self, task: TaskId, reach: CancelScope) -> bool {
        self.0.cancel(task, reach)
    }

    fn drive(&self, outcome: &dyn Readiness, deadline: Option<Instant>) {
        self.0.drive(outcome, deadline);
    }

    fn is_forked(&self) -> bool {
        !self.0.is_here()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_task_has_ended_is_known_without_the_body() {
        let lost = || Body::Block(None).open();
        for ending in [Ending::Returned, Ending::Described] {
            let outcome = super::outcome(ending, lost());
            assert!(matches!(outcome, Err(Failure::Decode { stage: Stage::Result, .. })));
        }
        let outcome = super::outcome(Ending::Failed, lost());
        assert!(matches!(outcome, Err(Failure::Decode { stage: Stage::Failure, .. })));
        assert!(matches!(super::outcome(Ending::Escaped, lost()), Err(Failure::Escaped { .. })));
        let reason = "no".to_owned();
        let other = codec::encode(&Failure::Encode { stage: Stage::Result, reason }).unwrap();
        let escaped = super::outcome(Ending::Escaped, Ok(other.into()));
        assert!(matches!(escaped, Err(Failure::Escaped { .. })));
    }
}
