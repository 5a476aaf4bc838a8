//! Calls the wakers of the futures whose outcomes were delivered.
//!
//! A waker is foreign code. It may block, for instance until another task of the same pool has
//! finished, or it may drop the pool. So a thread that calls a waker must not hold the lock of a
//! pool, or anything else that other threads need. A caller of the pool [hands wakers
//! over](Wakers::hand_over) to threads that do nothing else. A thread of the pool [calls them
//! itself](Wakers::wake_at_post), which is faster. Another thread watches it, and continues its
//! work if a waker takes longer than about [`PATIENCE`].
//!
//! The threads are started when they are needed, and end after some time without work. One of them
//! is the *successor*: it watches the threads that call wakers, and takes the place of a thread
//! that makes no progress. So there are as many threads as wakers that block, and one more.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::loan::drop_as_failed;

/// The time between two looks of the successor at the threads that call wakers. A waker that is
/// running at two looks in turn counts as slow.
const PATIENCE: Duration = Duration::from_millis(2);

/// The successor rests after so many looks in a row at which there was nothing to watch.
const LOOKS: u32 = 25;

/// How long a thread rests before it ends.
const REST: Duration = Duration::from_secs(5);

/// Starts a thread with the given name.
pub type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<()>;

/// The wakers of the outcomes that one pool has delivered, and the threads that call them.
pub struct Wakers {
    spawn: Spawn,
    state: Mutex<State>,
    /// Signalled for one thread that rests when it is called, and for all when the pool has ended.
    call: Condvar,
    /// Signalled for the successor when there are wakers and no thread calls them.
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waker>,
    /// The number of wakers that were ever taken off the queue.
    taken: u64,
    /// The number of threads that are calling wakers.
    waking: usize,
    /// The threads of the pool that are calling wakers themselves.
    posts: Vec<Post>,
    next_post: u64,
    /// The number of threads that rest, and how many of them have been called.
    resting: usize,
    called: usize,
    /// Whether there is a successor, or one is about to be there.
    has_successor: bool,
    closed: bool,
}

/// A thread of the pool that calls wakers itself.
struct Post {
    number: u64,
    /// Does the work of that thread meanwhile; `None` once the successor does so.
    stand_in: Option<Box<dyn FnOnce() + Send>>,
    /// Whether the successor has seen the thread call its present waker.
    is_slow: bool,
}

/// What the successor has to do.
enum Need {
    Wake,
    StandIn(Box<dyn FnOnce() + Send>),
    Nothing,
}

impl Wakers {
    /// Makes the state, without threads. `spawn` starts the threads.
    pub fn new(spawn: Spawn) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { spawn, state, call: Condvar::new(), work: Condvar::new() })
    }

    /// Has the wakers called by another thread. If the system refuses to start one, the wakers are
    /// returned: the caller then [calls](wake_here) them itself, when it holds nothing that other
    /// threads may need.
    #[must_use]
    pub fn hand_over(self: &Arc<Self>, wakers: Vec<Waker>) -> Vec<Waker> {
        if wakers.is_empty() {
            return wakers;
        }
        let mut state = self.state.lock();
        if !state.has_successor && !self.call_successor(&mut state) && state.waking == 0 {
            return wakers;
        }
        state.queue.extend(wakers);
        if state.waking == 0 {
            self.work.notify_one();
        }
        Vec::new()
    }

    /// Calls wakers on this thread, which must hold nothing that other threads may need. If that
    /// takes long, another thread calls `stand_in`, which continues the work of this thread
    /// meanwhile; returns whether that has happened.
    pub fn wake_at_post(
        self: &Arc<Self>,
        wakers: impl IntoIterator<Item = Waker>,
        stand_in: impl FnOnce() + Send + 'static,
    ) -> bool {
        let mut state = self.state.lock();
        state.queue.extend(wakers);
        if state.queue.is_empty() {
            return false;
        }
        let number = state.next_post;
        state.next_post += 1;
        state.posts.push(Post { number, stand_in: Some(Box::new(stand_in)), is_slow: false });
        // If no successor can be started, this thread continues its work after the last waker.
        self.see_to_successor(&mut state);
        self.wake_queue(&mut state, Some(number));
        let at = state.posts.iter().position(|post| post.number == number);
        let post = at.map(|at| state.posts.swap_remove(at));
        drop(state);
        post.is_some_and(|post| post.stand_in.is_none())
    }

    /// Has threads without work end at once, because the pool has ended.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.call.notify_all();
        self.work.notify_all();
    }

    fn wake_queue(self: &Arc<Self>, state: &mut MutexGuard<'_, State>, post: Option<u64>) {
        state.waking += 1;
        while let Some(waker) = state.queue.pop_front() {
            state.taken += 1;
            if let Some(post) = state.posts.iter_mut().find(|other| Some(other.number) == post) {
                post.is_slow = false;
            }
            self.see_to_successor(state);
            MutexGuard::unlocked(state, || wake(waker));
        }
        state.waking -= 1;
    }

    /// Calls a successor if there is none, and if a waker may keep this thread from other work.
    fn see_to_successor(self: &Arc<Self>, state: &mut State) {
        if !state.has_successor && state.is_busy() {
            self.call_successor(state);
        }
    }

    /// Calls a thread that rests, or starts one; returns whether a successor will come.
    fn call_successor(self: &Arc<Self>, state: &mut State) -> bool {
        if state.resting > state.called {
            state.called += 1;
            self.call.notify_one();
        } else {
            let ours = self.clone();
            if (self.spawn)("farm-wakers", Box::new(move || ours.run())).is_err() {
                return false;
            }
        }
        state.has_successor = true;
        true
    }

    /// The body of a thread.
    fn run(self: Arc<Self>) {
        let mut state = self.state.lock();
        loop {
            let need = self.watch(&mut state);
            state.has_successor = false;
            match need {
                Need::Wake => self.wake_queue(&mut state, None),
                Need::StandIn(stand_in) => {
                    self.see_to_successor(&mut state);
                    MutexGuard::unlocked(&mut state, stand_in);
                }
                Need::Nothing => {}
            }
            state.resting += 1;
            while state.called == 0 && !state.closed {
                if self.call.wait_for(&mut state, REST).timed_out() {
                    break;
                }
            }
            state.resting -= 1;
            if state.called == 0 {
                return;
            }
            state.called -= 1;
        }
    }

    /// Watches, as the successor, until there is something to do.
    fn watch(&self, state: &mut MutexGuard<'_, State>) -> Need {
        let (mut taken, mut looks) = (state.taken, 0);
        loop {
            if state.waking == 0 && !state.queue.is_empty() {
                return Need::Wake;
            }
            if looks == LOOKS || (state.closed && !state.is_busy()) {
                return Need::Nothing;
            }
            if !self.work.wait_for(state, PATIENCE).timed_out() {
                continue;
            }
            for post in &mut state.posts {
                if std::mem::replace(&mut post.is_slow, true)
                    && let Some(stand_in) = post.stand_in.take()
                {
                    return Need::StandIn(stand_in);
                }
            }
            let was_taken = std::mem::replace(&mut taken, state.taken);
            if was_taken == taken && !state.queue.is_empty() {
                return Need::Wake;
            }
            looks = if was_taken == taken && !state.is_busy() { looks + 1 } else { 0 };
        }
    }
}

impl State {
    /// Whether there is work that a blocking waker may delay.
    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.posts.iter().any(|post| post.stand_in.is_some())
    }
}

impl fmt::Debug for Wakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be woken", self.state.lock().queue.len())
    }
}

/// Calls wakers on this thread.
pub fn wake_here(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(wake);
}

/// Calls a waker. A panic of the waker is reported by the panic hook, and ends no thread of a pool.
fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
        && let Err(again) = catch_unwind(AssertUnwindSafe(|| drop_as_failed(payload)))
    {
        std::mem::forget(again);
    }
}
