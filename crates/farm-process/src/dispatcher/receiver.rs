//! Which thread receives the answers that come by lanes.
//!
//! One thread at a time is the *receiver*: it takes in the workers' messages, has the master
//! decide, and delivers outcomes. A caller that waits for a result becomes the receiver if no other
//! thread is, and remains it until its own result is there, so no other thread has to hand the
//! result over. While no caller waits, the receiver thread is the receiver. It is woken by the
//! first answer, so a program that submits tasks and then computes keeps no worker waiting.
//! `transport/lane/master_waker.rs` explains how the one or the other is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::task::Waker;
use std::time::{Duration, Instant};

use farm_core::backend::{Readiness, Wakers};
use parking_lot::{Mutex, MutexGuard};

use crate::os::threads;
use crate::transport::lane::{Block, LaneView, MasterWaker, Sleeper, look};

/// How long a caller looks for its result before it sleeps, if there is a core to spare.
const SPIN: Duration = Duration::from_micros(50);

/// How long the receiver thread waits for more answers after it has received some: to be woken for
/// each answer would cost more.
const NAP: Duration = Duration::from_micros(50);

/// How often a caller that has its result still receives other answers, before it leaves them to
/// the receiver thread.
const HAND_OVERS: usize = 20;

/// The state that the receiver changes.
pub(crate) trait Incoming: Send + Sync + 'static {
    /// Takes in the workers' messages and acts on them; returns whether there were any. Wakers of
    /// futures whose outcomes were delivered are added to `wakers`. `renew`, if it is given,
    /// receives the new views, after workers have come or gone.
    fn receive(
        self: &Arc<Self>,
        renew: Option<&mut Vec<LaneView>>,
        wakers: &mut Vec<Waker>,
    ) -> bool;

    /// The threads that call the wakers of futures.
    fn wakers(&self) -> &Arc<Wakers>;
}

/// The turn to receive, and how the thread that has it sleeps.
pub(crate) struct Receiver {
    waker: Arc<MasterWaker<Block>>,
    /// Locked by the thread that is the receiver, which looks through these views for messages.
    views: Mutex<Vec<LaneView>>,
    /// Whether a caller sleeps. This is not in the memory of `waker`, to which all workers can
    /// write. The receiver writes it; any thread of the pool reads it.
    caller_sleeps: AtomicBool,
    /// Whether workers have come or gone since the views were made.
    has_changed: AtomicBool,
    /// The number of cores on which no worker is busy.
    spare: AtomicUsize,
    /// How many cores this process may use.
    cores: usize,
    is_closed: AtomicBool,
}

impl Receiver {
    pub(crate) fn new(waker: Arc<MasterWaker<Block>>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            waker,
            views: Mutex::default(),
            caller_sleeps: AtomicBool::new(false),
            has_changed: AtomicBool::new(false),
            spare: AtomicUsize::new(cores),
            cores,
            is_closed: AtomicBool::new(false),
        }
    }

    /// How many cores this process may use.
    pub(crate) fn cores(&self) -> usize {
        self.cores
    }

    /// Notes how many workers are busy.
    pub(crate) fn set_busy(&self, workers: usize) {
        self.spare.store(self.cores.saturating_sub(workers), Ordering::Relaxed);
    }

    /// Notes that workers have come or gone.
    pub(crate) fn renew_views(&self) {
        self.has_changed.store(true, Ordering::Release);
    }

    /// Ends the receiver thread.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.waker.wake(Sleeper::ReceiverThread);
    }

    /// Wakes a caller that sleeps, after outcomes have been delivered by a thread that is not the
    /// receiver: it may wait for one of them.
    pub(crate) fn wake_caller(&self) {
        // The ordering is that of a worker that wakes the master, with the outcome in place of the
        // answer.
        fence(Ordering::SeqCst);
        if self.caller_sleeps.load(Ordering::SeqCst) {
            self.waker.wake(Sleeper::Caller);
        }
    }

    /// Wakes the receiver, whichever thread it is. A worker may have died before it woke the
    /// receiver, or may have overwritten the futex words of the waker.
    pub(crate) fn wake(&self) {
        self.waker.wake(Sleeper::Caller);
        self.waker.wake(Sleeper::ReceiverThread);
    }

    /// Called by a caller that waits for an outcome: receives until the outcome is there, or until
    /// `deadline`. Returns at once if another thread is the receiver.
    pub(crate) fn drive<I: Incoming>(
        &self,
        incoming: &Arc<I>,
        outcome: &dyn Readiness,
        deadline: Option<Instant>,
    ) {
        loop {
            let Some(views) = self.views.try_lock() else { return };
            let wakers = self.receive_until(incoming, views, outcome, deadline);
            if wakers.is_empty() {
                return;
            }
            threads::wake(incoming.wakers(), wakers);
        }
    }

    /// Receives until an outcome is there. Returns earlier, with the wakers, if these cannot be
    /// handed over to another thread.
    fn receive_until<I: Incoming>(
        &self,
        incoming: &Arc<I>,
        mut views: MutexGuard<'_, Vec<LaneView>>,
        outcome: &dyn Readiness,
        deadline: Option<Instant>,
    ) -> Vec<Waker> {
        let mut wakers = Vec::new();
        self.waker.set_awake();
        loop {
            self.receive(incoming, &mut views, &mut wakers);
            wakers = incoming.wakers().hand_over(wakers);
            if outcome.is_ready() || !wakers.is_empty() {
                break;
            }
            let is_wanted = |passed| passed < SPIN && self.spare.load(Ordering::Relaxed) > 0;
            if look(|| has_news(&views), is_wanted) {
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            let ticket = self.waker.ticket(Sleeper::Caller);
            self.caller_sleeps.store(true, Ordering::SeqCst);
            let is_due = || has_news(&views) || outcome.is_ready() || self.has_changed();
            if self.waker.announce_sleep(Sleeper::Caller, is_due) {
                self.waker.sleep(ticket, left);
                self.waker.set_awake();
            }
            self.caller_sleeps.store(false, Ordering::Relaxed);
        }
        for _ in 0..HAND_OVERS {
            let is_due = || has_news(&views) || self.has_changed();
            if self.waker.announce_sleep(Sleeper::ReceiverThread, is_due) {
                return wakers;
            }
            self.receive(incoming, &mut views, &mut wakers);
        }
        // More answers keep coming, so the receiver thread continues.
        self.waker.wake(Sleeper::ReceiverThread);
        wakers
    }

    /// The body of the receiver thread. If a waker keeps this thread for long, another thread
    /// continues in its place.
    pub(crate) fn run<I: Incoming>(self: &Arc<Self>, incoming: &Arc<I>) {
        loop {
            let mut views = self.views.lock();
            self.waker.set_awake();
            let ticket = self.waker.ticket(Sleeper::ReceiverThread);
            let mut wakers = Vec::new();
            if self.receive(incoming, &mut views, &mut wakers) {
                // More answers are about to come. Meanwhile, a caller that waits for one can become
                // the receiver.
                drop(views);
                if !wakers.is_empty() {
                    let (ours, theirs) = (self.clone(), incoming.clone());
                    let stand_in = move || threads::as_pool_thread(|| ours.run(&theirs));
                    if incoming.wakers().wake_at_post(wakers, stand_in) {
                        return;
                    }
                }
                self.waker.sleep(ticket, Some(NAP));
                continue;
            }
            let is_closed = || self.is_closed.load(Ordering::Acquire);
            if is_closed() {
                return;
            }
            let is_due = || has_news(&views) || self.has_changed() || is_closed();
            if self.waker.announce_sleep(Sleeper::ReceiverThread, is_due) {
                drop(views);
                self.waker.sleep(ticket, None);
            }
        }
    }

    /// Receives what there is; returns whether there was anything.
    fn receive<I: Incoming>(
        &self,
        incoming: &Arc<I>,
        views: &mut Vec<LaneView>,
        wakers: &mut Vec<Waker>,
    ) -> bool {
        if !has_news(views) && !self.has_changed() {
            return false;
        }
        let has_changed = self.has_changed.swap(false, Ordering::AcqRel);
        incoming.receive(has_changed.then_some(views), wakers)
    }

    fn has_changed(&self) -> bool {
        self.has_changed.load(Ordering::Acquire)
    }
}

fn has_news(views: &[LaneView]) -> bool {
    views.iter().any(LaneView::has_news)
}
