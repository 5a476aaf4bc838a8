//! The dispatcher: carries out the master's decisions.
//!
//! All state is behind one lock ([`State`]). A thread that brings an event (a caller that submits,
//! the receiver, the control thread, the watch, the thread that starts workers) takes the lock,
//! tells the master, and sends what the master wants sent; no send waits, see [`crate::transport`].
//! Outcomes are delivered after the lock is released. Wakers are foreign code, so they are called
//! later still, by threads that hold neither the lock nor the turn to receive ([`Wakers`]).
//!
//! This file handles the tasks. `lifecycle` handles workers that come up and end, `control` is the
//! thread that reads the control channel, `receiver` is the turn to receive by lanes, `shutdown`
//! ends the pool.

mod control;
mod idle_memory;
mod lifecycle;
mod receiver;
mod shutdown;
mod state;
pub(crate) mod workers;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::task::Waker;
use std::time::{Duration, Instant};

use farm_core::TaskId;
use farm_core::backend::{
    Action, CancelScope, Counters, Deliver, Delivery, Loans, Payload, PoolRef, Readiness, Rules,
    Task, Wakers,
};
use farm_core::loan::eviction::Listener;
use farm_os::fork::Here;
use ipc_channel::ipc::IpcSender;
use parking_lot::{Condvar, Mutex, MutexGuard};

use self::receiver::{Incoming, Receiver};
use self::state::State;
use self::workers::Start;
use crate::os::threads;
use crate::pool::settings::{Settings, Transport};
use crate::spawn::origin::Origin;
use crate::supervise::alarm::earlier;
use crate::supervise::clock::BEAT;
use crate::supervise::watch::{Limits, Wanted, Watch};
use crate::transport::Connector;
use crate::transport::channel::ChannelConnector;
use crate::transport::control::Up;
use crate::transport::ipc::Contained;
use crate::transport::lane::{Arena, ArenaWriter, LaneConnector, LaneView};

/// The state that the threads of a pool share.
pub(crate) struct Dispatcher {
    pub(crate) settings: Settings,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    pub(crate) origin: Origin,
    pub(crate) watch: Watch,
    pub(crate) counters: Counters,
    pub(crate) connector: Box<dyn Connector>,
    state: Mutex<State>,
    /// Signalled when a worker has come up or failed to, and when the pool has become idle or
    /// broken.
    changed: Condvar,
    /// Signalled when fewer tasks wait than `max_queued`.
    room: Condvar,
    up: Mutex<Contained<IpcSender<Up>>>,
    starts: Sender<Start>,
    /// Whether the program has dropped arrays since the last beat. Any thread of the program sets
    /// this; the watch resets it.
    has_dropped: AtomicBool,
    /// Where long arguments are placed, if the transport has an arena.
    arena: Option<Arc<Arena>>,
    /// The turn to receive, if tasks travel by lanes.
    receiver: Option<Arc<Receiver>>,
    /// The threads that call the wakers of futures.
    wakers: Arc<Wakers>,
    here: Here,
}

impl Listener for Dispatcher {
    fn on_dropped(&self) {
        self.has_dropped.store(true, Ordering::Release);
        self.watch.wake_by(Duration::ZERO);
    }
}

impl Dispatcher {
    pub(crate) fn new(
        settings: Settings,
        workers: usize,
        up: IpcSender<Up>,
        starts: Sender<Start>,
    ) -> std::io::Result<Arc<Self>> {
        let connector: Box<dyn Connector> = match settings.transport {
            Transport::Lanes => Box::new(LaneConnector::new(workers)?),
            Transport::Channel => Box::new(ChannelConnector),
        };
        let window = connector.window();
        let rules = Rules { workers, window, tasks_per_worker: settings.tasks_per_worker };
        let limits =
            Limits { stopped_after: settings.stopped_after, memory: settings.memory_limit };
        let receiver = connector.master_waker().cloned().map(Receiver::new);
        Ok(Arc::new(Self {
            environment: settings.worker_environment(),
            origin: Origin::new()?,
            settings,
            watch: Watch::new(limits)?,
            arena: connector.arena().cloned(),
            counters: Counters::default(),
            connector,
            state: Mutex::new(State::new(rules)),
            changed: Condvar::new(),
            room: Condvar::new(),
            up: Mutex::new(Contained::new(up)),
            starts,
            has_dropped: AtomicBool::new(false),
            receiver: receiver.map(Arc::new),
            wakers: Wakers::new(threads::spawn_for_wakers),
            here: Here::new()?,
        }))
    }

    /// Whether this is the process that made the pool, and not a fork of it.
    pub(crate) fn is_here(&self) -> bool {
        self.here.is_here()
    }

    /// Whether many items may travel in one message. Items that travel by a channel cannot be
    /// stolen.
    pub(crate) fn takes_batches(&self) -> bool {
        self.receiver.is_some()
    }

    /// A writer into the arena for long arguments, if the transport has one.
    pub(crate) fn arena_writer(&self) -> Option<ArenaWriter<'_>> {
        self.arena.as_ref().map(Arena::writer)
    }

    /// A new sender of the channel that the control thread reads.
    pub(crate) fn up(&self) -> IpcSender<Up> {
        self.up.lock().get().clone()
    }

    /// Carries out the master's first decisions, which start the workers.
    pub(crate) fn begin(self: &Arc<Self>) {
        self.act(self.lock());
    }

    /// Takes the lock, and tells the master the time if some task has a time limit; otherwise only
    /// beats do.
    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if state.keeps_time {
            state.master.set_time(self.watch.clock.now());
        }
        state
    }

    /// Accepts a task.
    pub(crate) fn submit(self: &Arc<Self>, mut task: Task, slot: Arc<dyn Deliver>, loans: Loans) {
        if let Payload::Owned(bytes) = &task.argument
            && let Some(arena) = &self.arena
            && arena.wants(bytes.len())
        {
            // A thread of a pool must not wait for room, because such threads make room.
            let is_over = || threads::is_pool_thread() || self.takes_nothing_more();
            if let Some(placed) = arena.put_in_time(bytes, is_over) {
                task.argument = placed;
            }
        }
        if task.policy.timeout.is_some() {
            self.state.lock().keeps_time = true;
        }
        let mut state = self.lock();
        if let Some(most) = self.settings.max_queued.filter(|_| !threads::is_pool_thread()) {
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
        // A caller that submits many tasks polls in passing; otherwise workers would have to wait
        // for the receiver thread.
        if state.mailbox.len() > 1 {
            self.poll(&mut state);
        }
        self.act(state);
    }

    /// Whether a task that is submitted now fails at once.
    fn takes_nothing_more(&self) -> bool {
        let state = self.state.lock();
        state.closed || state.master.broken().is_some()
    }

    /// Cancels a task; returns whether that was possible.
    fn cancel(self: &Arc<Self>, task: TaskId, scope: CancelScope) -> bool {
        let mut state = self.lock();
        // After this, tasks that have been answered do not count as running any more, and the tasks
        // that follow them count as started.
        self.poll(&mut state);
        let mut cancelled = state.steal_to_cancel(task);
        self.poll(&mut state);
        cancelled |= state.master.cancel(task, scope);
        self.act(state);
        cancelled
    }

    /// Called by the watch, whenever it has read the clock.
    pub(crate) fn beat(self: &Arc<Self>, now: Duration) -> Wanted {
        let mut state = self.state.lock();
        state.master.set_time(now);
        // Answers that have arrived by now are received before time limits are checked.
        if self.poll(&mut state) {
            self.wake_receiver();
        }
        let at = state.master.tick(now);
        if self.has_dropped.swap(false, Ordering::AcqRel) {
            state.workers.request_evictions();
        }
        let was_active = std::mem::replace(&mut state.active, false);
        let busy = was_active || !state.mailbox.is_empty();
        let State { idle_memory, workers, .. } = &mut *state;
        let idle = idle_memory.look(now, busy, || {
            if let Some(arena) = &self.arena {
                arena.give_back_idle();
            }
            workers.links().fold(true, |is_all, (_, link)| is_all & link.give_back_idle())
        });
        self.act(state);
        Wanted { at: earlier(at, idle), busy }
    }

    /// Takes in the messages that have come by the links of workers; returns whether there were
    /// any.
    fn poll(&self, state: &mut State) -> bool {
        state.poll(|worker| {
            self.renew_views();
            self.watch.kill(worker);
        })
    }

    /// Carries out the master's decisions, and delivers outcomes once the lock is released.
    fn act(self: &Arc<Self>, state: MutexGuard<'_, State>) {
        let deliveries = self.carry_out(state);
        if !deliveries.is_empty() {
            let wakers = self.deliver(deliveries);
            threads::wake(&self.wakers, wakers);
        }
    }

    /// Carries out the master's decisions, and returns the outcomes that are to be delivered.
    fn carry_out(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        while let Some(action) = state.master.next_action() {
            match action {
                Action::Start(worker) => {
                    state.workers.expect(worker);
                    // The thread that starts workers ends after everything else, so it can still
                    // receive this.
                    let _ = self.starts.send(Start::Worker(worker));
                }
                Action::Send(worker, task) => {
                    if state.send(worker, &task) {
                        self.watch.kill(worker);
                    }
                }
                Action::Steal(worker, task, amount) => state.steal_to_share(worker, task, amount),
                Action::Kill(worker) => self.watch.kill(worker),
                Action::Retire(worker) => self.retire(&mut state, worker),
                Action::Complete(task, items, outcome) => {
                    self.counters.ended(items.len() as u64, outcome.as_ref().err());
                    deliveries.extend(state.mailbox.close(task, items, outcome));
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
        if let Some(receiver) = &self.receiver {
            receiver.set_busy(state.allow_spinning(receiver.cores()));
        }
        deliveries
    }

    /// Delivers outcomes, and returns the wakers of those that wait for them, which are foreign
    /// code.
    #[must_use]
    fn deliver(&self, deliveries: Vec<Delivery>) -> Vec<Waker> {
        let wakers = deliveries.into_iter().filter_map(Delivery::deliver).collect();
        if let Some(receiver) = &self.receiver {
            receiver.wake_caller();
        }
        wakers
    }

    /// The body of the receiver thread; `None` if the transport needs none.
    pub(crate) fn receiver_thread(self: &Arc<Self>) -> Option<impl FnOnce() + Send + 'static> {
        let (receiver, ours) = (self.receiver.clone()?, self.clone());
        Some(move || receiver.run(&ours))
    }

    fn renew_views(&self) {
        if let Some(receiver) = &self.receiver {
            receiver.renew_views();
        }
    }

    fn wake_receiver(&self) {
        if let Some(receiver) = &self.receiver {
            receiver.wake();
        }
    }
}

impl Incoming for Dispatcher {
    fn receive(
        self: &Arc<Self>,
        renew: Option<&mut Vec<LaneView>>,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        let mut state = self.lock();
        if let Some(views) = renew {
            *views = state.workers.views();
        }
        let any = self.poll(&mut state);
        // No caller sleeps that would have to be woken: this thread has the turn to receive.
        let deliveries = self.carry_out(state);
        wakers.extend(deliveries.into_iter().filter_map(Delivery::deliver));
        any || !wakers.is_empty()
    }

    fn wakers(&self) -> &Arc<Wakers> {
        &self.wakers
    }
}

/// The view of a pool that the handles of its tasks have.
pub(crate) struct Handles(pub(crate) Arc<Dispatcher>);

impl PoolRef for Handles {
    fn cancel(&self, task: TaskId, scope: CancelScope) -> bool {
        self.0.cancel(task, scope)
    }

    fn drive(&self, outcome: &dyn Readiness, deadline: Option<Instant>) {
        if let Some(receiver) = &self.0.receiver {
            receiver.drive(&self.0, outcome, deadline);
        }
    }

    fn is_forked(&self) -> bool {
        !self.0.is_here()
    }
}
