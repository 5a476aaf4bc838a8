//! Who looks after the answers that come by lanes.
//!
//! One thread at a time has the *seat*: it hears what workers say, has the master decide, and delivers. A caller that
//! waits for a result takes the seat, if it is free, and keeps it until its own result is there; so a result comes by no
//! other thread to who waits for it. When nobody waits, the service thread takes it, woken by the first answer, so that a
//! program that submits and then computes keeps no worker waiting. See [`crate::lane::waker`] for how the one or the other
//! is woken.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::task::Waker;
use std::time::{Duration, Instant};

use farm_core::backend::{Delivery, Payload, Readiness, Task};
use farm_os::limits::longest_file;
use ipc_channel::ipc::IpcSender;
use parking_lot::{Mutex, MutexGuard};

use crate::lane::block::{Block, CELL};
use crate::lane::master_waker::{MasterWaker, Sleeper, WORDS};
use crate::lane::{
    Arena, ArenaWriter, LaneDescriptors, LaneView, MOST_INLINE, MasterEnd, WorkerEvent, look,
};
use crate::link::Link;
use crate::memory;
use crate::service::{Service, State, outcome};
use crate::staff::Worker;
use crate::start::StartError;
use crate::task_counter::TaskCounter;
use crate::threads;
use crate::transport::{Contained, Down, TransportConfig};

/// How long a caller looks for its result before it sleeps, where there is a core to spare.
const SPIN: Duration = Duration::from_micros(50);

/// How long the service thread leaves answers that keep coming alone: to be woken for each would cost more.
const NAP: Duration = Duration::from_micros(50);

/// How often a caller that has its result still looks after others, before it leaves that to the service thread.
const HAND_OVERS: usize = 20;

/// What a pool has where tasks travel by lanes.
pub(crate) struct Lanes {
    arena: Arc<Arena>,
    waker: MasterWaker<Block>,
    /// How much room for long results each lane has.
    room: usize,
    seat: Mutex<Seat>,
    /// A caller sleeps at the waker. Workers cannot write to this as they can to the waker.
    caller_sleeps: AtomicBool,
    /// Workers have come or gone since the views were opened.
    has_changed: AtomicBool,
    /// Cores on which no worker is busy.
    spare: AtomicUsize,
    /// As many as this process may use.
    cores: usize,
    is_closed: AtomicBool,
}

/// What its holder looks through.
#[derive(Default)]
struct Seat {
    views: Vec<LaneView>,
}

impl Seat {
    fn has_news(&self) -> bool {
        self.views.iter().any(LaneView::has_news)
    }
}

impl Lanes {
    pub(crate) fn new(workers: usize) -> io::Result<Self> {
        // Twice the memory that there is, so that no value is too long, unless a limit says so; only what is written to is
        // taken.
        let system = rustix::system::sysinfo();
        let memory = u64::from(system.mem_unit).saturating_mul(system.totalram);
        let memory = usize::try_from(memory).unwrap_or(usize::MAX >> 2).next_power_of_two();
        let memory = memory.min(usize::try_from(longest_file()).unwrap_or(usize::MAX));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            arena: Arena::new(memory.min(addresses() / 2))?,
            waker: MasterWaker::new(Block::create("farm-waker", WORDS * CELL, WORDS * CELL)?),
            room: memory.min(addresses() / 2 / workers),
            seat: Mutex::default(),
            caller_sleeps: AtomicBool::new(false),
            has_changed: AtomicBool::new(false),
            spare: AtomicUsize::new(cores),
            cores,
            is_closed: AtomicBool::new(false),
        })
    }

    /// Where an argument is encoded if it is long.
    pub(crate) fn writer(&self) -> ArenaWriter<'_> {
        self.arena.writer()
    }

    /// Has a long argument where workers can read it, if it is not there yet; waits for room until `is_over`.
    pub(crate) fn put_beside_if_long(&self, task: &mut Task, is_over: impl Fn() -> bool) {
        if let Payload::Owned(bytes) = &task.argument
            && bytes.len() > MOST_INLINE
            && let Some(allocation) = self.arena.put_in_time(bytes, is_over)
        {
            task.argument = allocation;
        }
    }
}

/// How many addresses all lanes of a pool may take up together: a quarter of those that are left to the process.
fn addresses() -> usize {
    usize::try_from(memory::addresses_left() / 4).unwrap_or(usize::MAX)
}

impl Service {
    /// By what a worker will take its tasks, and how it is reached.
    pub(crate) fn link(
        &self,
        down: IpcSender<Down>,
    ) -> Result<(TransportConfig, Link), StartError> {
        let Some(lanes) = &self.lanes else {
            let refused = |error: io::Error| StartError { pid: 0, reason: error.to_string() };
            let counter = TaskCounter::new().map_err(refused)?;
            let link = Link::Channel(Contained::new((down, counter.clone())));
            return Ok((TransportConfig::Channel(counter), link));
        };
        let end = MasterEnd::new(&lanes.arena, lanes.room).map_err(|error| StartError {
            pid: 0,
            reason: format!(
                "its lane cannot be made: {error}; `transport(Transport::Channel)` of the pool's builder does without \
                 lanes"
            ),
        })?;
        let way = LaneDescriptors {
            lane: end.way(),
            arguments: lanes.arena.way(),
            waker: lanes.waker.memory().way(),
        };
        Ok((TransportConfig::Lane(way), Link::Lane(Box::new(end))))
    }

    /// Gives the memory of long values back that nobody uses; says whether there may be more of it later.
    pub(crate) fn give_back_idle(&self, state: &mut State) -> bool {
        let Some(lanes) = &self.lanes else { return false };
        lanes.arena.give_back_idle();
        let mut is_all = true;
        for worker in state.workers.values_mut() {
            if let Worker::Up { link: Link::Lane(end), .. } = worker {
                is_all &= end.give_back_idle();
            }
        }
        !is_all
    }

    pub(crate) fn staff_has_changed(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.has_changed.store(true, Ordering::Release);
        }
    }

    /// A caller waits for an outcome, and looks after the answers meanwhile, unless somebody else does.
    pub(crate) fn drive(self: &Arc<Self>, outcome: &dyn Readiness, deadline: Option<Instant>) {
        let Some(lanes) = &self.lanes else { return };
        loop {
            let Some(seat) = lanes.seat.try_lock() else { return };
            let wakers = self.look_until(lanes, seat, outcome, deadline);
            if wakers.is_empty() {
                return;
            }
            threads::wake(&self.wakers, wakers);
        }
    }

    /// Has the seat until an outcome is in. If others cannot be handed over to be woken, they come back earlier.
    fn look_until(
        self: &Arc<Self>,
        lanes: &Lanes,
        mut seat: MutexGuard<'_, Seat>,
        outcome: &dyn Readiness,
        deadline: Option<Instant>,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        lanes.waker.set_awake();
        loop {
            self.collect(lanes, &mut seat, &mut wakers);
            wakers = self.wakers.hand_over(wakers);
            if outcome.is_ready() || !wakers.is_empty() {
                break;
            }
            if look(|| seat.has_news(), |passed| passed < SPIN && lanes.has_spare_core()) {
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            let ticket = lanes.waker.ticket(Sleeper::Caller);
            lanes.caller_sleeps.store(true, Ordering::SeqCst);
            let is_due = || seat.has_news() || outcome.is_ready() || lanes.has_changed();
            if lanes.waker.announce_sleep(Sleeper::Caller, is_due) {
                lanes.waker.sleep(ticket, left);
                lanes.waker.set_awake();
            }
            lanes.caller_sleeps.store(false, Ordering::Relaxed);
        }
        for _ in 0..HAND_OVERS {
            if lanes
                .waker
                .announce_sleep(Sleeper::Service, || seat.has_news() || lanes.has_changed())
            {
                return wakers;
            }
            self.collect(lanes, &mut seat, &mut wakers);
        }
        // There is always more. The service thread goes on.
        lanes.waker.wake(Sleeper::Service);
        wakers
    }

    /// The body of the service thread for lanes. If a waker keeps it for long, another thread goes on.
    pub(crate) fn look_after_lanes(self: &Arc<Self>) {
        let Some(lanes) = &self.lanes else { return };
        loop {
            let mut seat = lanes.seat.lock();
            lanes.waker.set_awake();
            let ticket = lanes.waker.ticket(Sleeper::Service);
            let mut wakers = Vec::new();
            if self.collect(lanes, &mut seat, &mut wakers) {
                // More is to come. Whoever waits for it can have the seat meanwhile.
                drop(seat);
                if !wakers.is_empty() {
                    let ours = self.clone();
                    let stand_in = move || threads::as_ours(|| ours.look_after_lanes());
                    if self.wakers.wake_at_post(wakers, stand_in) {
                        return;
                    }
                }
                lanes.waker.sleep(ticket, Some(NAP));
                continue;
            }
            if lanes.is_closed.load(Ordering::Acquire) {
                return;
            }
            let is_due = || {
                seat.has_news() || lanes.has_changed() || lanes.is_closed.load(Ordering::Acquire)
            };
            if lanes.waker.announce_sleep(Sleeper::Service, is_due) {
                drop(seat);
                lanes.waker.sleep(ticket, None);
            }
        }
    }

    /// The service thread is not needed any more.
    pub(crate) fn vacate(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.is_closed.store(true, Ordering::Release);
            lanes.waker.wake(Sleeper::Service);
        }
    }

    /// Somebody else than who has the seat has delivered: who sleeps there may wait for just that.
    pub(crate) fn wake_who_waits(&self) {
        if let Some(lanes) = &self.lanes {
            // As in a worker's ring, with the outcome in the answer's place.
            fence(Ordering::SeqCst);
            if lanes.caller_sleeps.load(Ordering::SeqCst) {
                lanes.waker.wake(Sleeper::Caller);
            }
        }
    }

    /// Something may have gone by without a ring: its worker may have died before it rang, or runs wild.
    pub(crate) fn wake_the_seat(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.waker.wake(Sleeper::Caller);
            lanes.waker.wake(Sleeper::Service);
        }
    }

    /// Hears what workers have said, and acts on it; says whether there was anything. Who is to be woken then, without
    /// the seat, is added to `wakers`.
    fn collect(self: &Arc<Self>, lanes: &Lanes, seat: &mut Seat, wakers: &mut Vec<Waker>) -> bool {
        if !seat.has_news() && !lanes.has_changed() {
            return false;
        }
        let mut state = self.lock();
        if lanes.has_changed.swap(false, Ordering::AcqRel) {
            seat.views = state.views();
        }
        let heard = self.poll(&mut state);
        // Nobody sleeps at the waker: the seat is ours.
        let deliveries = self.carry_out(state);
        wakers.extend(deliveries.into_iter().filter_map(Delivery::deliver));
        heard || !wakers.is_empty()
    }

    /// Hears what workers have said by their lanes; says whether there was anything.
    pub(crate) fn poll(&self, state: &mut State) -> bool {
        let mut any = false;
        let State { workers, master, .. } = state;
        let mut evicted = Vec::new();
        for (worker, known) in workers {
            let Worker::Up { link: Link::Lane(end), .. } = known else { continue };
            let mut heard = false;
            let result = loop {
                match end.poll() {
                    Ok(Some(WorkerEvent::Done { answer, ending, body })) => {
                        master.on_answer(*worker, answer, outcome(ending, Ok(body)));
                    }
                    Ok(Some(WorkerEvent::Evict)) => evicted.push(*worker),
                    Ok(None) => break if heard || end.waits() { end.use_room() } else { Ok(()) },
                    Err(broken) => break Err(broken),
                }
                heard = true;
            };
            if result.is_err() {
                end.give_up();
                self.staff_has_changed();
                self.watch.kill(*worker);
            }
            any |= heard;
        }
        evicted.into_iter().for_each(|worker| state.on_evicted(worker));
        any
    }

    /// Lets those workers look for tasks without sleeping that were busy last, as far as there are cores on which nobody
    /// works: a worker counts as if it had just ended what it has, and the program itself takes one.
    pub(crate) fn grant_spinning(&self, state: &mut State) {
        let Some(lanes) = &self.lanes else { return };
        let State { workers, master, .. } = state;
        let (mut busy, mut latest) = (0, None);
        for (worker, tasks, last) in master.ready_workers() {
            busy += usize::from(tasks > 0);
            latest = latest.max((tasks == 0).then_some((last, worker)));
        }
        lanes.spare.store(lanes.cores.saturating_sub(busy), Ordering::Relaxed);
        for (worker, tasks, _) in master.ready_workers() {
            let others = busy - usize::from(tasks > 0);
            // Of several that have nothing to do, only the last.
            let is_next = tasks > 0 || latest.is_some_and(|(_, latest)| latest == worker);
            if let Some(Worker::Up { link: Link::Lane(end), .. }) = workers.get_mut(&worker) {
                end.may_spin(is_next && others + 2 <= lanes.cores);
            }
        }
    }
}

impl Lanes {
    fn has_spare_core(&self) -> bool {
        self.spare.load(Ordering::Relaxed) > 0
    }

    fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Acquire)
    }
}

impl State {
    fn views(&self) -> Vec<LaneView> {
        let lane = |worker: &Worker| match worker {
            Worker::Up { link: Link::Lane(end), .. } => end.view(),
            _ => None,
        };
        self.workers.values().filter_map(lane).collect()
    }
}
