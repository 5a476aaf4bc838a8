//! Wakes those that wait for outcomes.
//!
//! A waker is foreign code: it may block, for instance until another task of the same pool is done, or drop the pool.
//! So nobody wakes who holds the lock of a pool, or anything else that somebody may need. A caller of the pool hands
//! wakers [over](Wakers::hand_over) to threads that do nothing else. A thread of the pool
//! [wakes by itself](Wakers::wake_at_post), since that is faster: but another thread keeps watch, and stands in for it
//! where a waker takes longer than [`PATIENCE`].
//!
//! The threads are started when they are needed, and end after a while without work. One of them is the successor:
//! it watches those that wake, and takes the place of one that gets no further. So there are as many threads as
//! wakers that block, and one more.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::loan::drop_as_failed;

/// How long a waker may take before another thread does what else there is to do.
const PATIENCE: Duration = Duration::from_millis(2);

/// After so many looks at nothing the successor rests until it is called.
const LOOKS: u32 = 25;

/// How long a thread stays that has nothing to do.
const REST: Duration = Duration::from_secs(5);

/// Starts a thread with a name.
pub type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<()>;

/// The wakers of the outcomes that one pool has delivered, and the threads that wake them.
pub struct Wakers {
    spawn: Spawn,
    state: Mutex<State>,
    /// Signalled for one thread that rests, and for all when the pool has ended.
    call: Condvar,
    /// Signalled for the successor, when nobody wakes.
    work: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Waker>,
    /// How many have been taken off the queue.
    taken: u64,
    /// How many threads take wakers off the queue.
    waking: usize,
    posts: Vec<Post>,
    next_post: u64,
    /// Threads that rest, and how many of them have been called.
    resting: usize,
    called: usize,
    /// There is a successor, or one is on its way.
    has_successor: bool,
    closed: bool,
}

/// What a thread has left to wake.
struct Post {
    number: u64,
    /// Does what that thread would; `None` once it does.
    stand_in: Option<Box<dyn FnOnce() + Send>>,
    /// The waker was there at the last look.
    is_slow: bool,
}

/// What the successor finds to do.
enum Need {
    Wake,
    StandIn(Box<dyn FnOnce() + Send>),
    Nothing,
}

impl Wakers {
    /// None yet; `spawn` starts the threads.
    pub fn new(spawn: Spawn) -> Arc<Self> {
        let state = Mutex::default();
        Arc::new(Self { spawn, state, call: Condvar::new(), work: Condvar::new() })
    }

    /// Has some woken by another thread. Where the system refuses to start one, they come back: the caller then
    /// [wakes](wake_here) them itself, when it holds nothing that others may need.
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

    /// Wakes some on this thread, which holds nothing that others may need. If that takes long, another thread calls
    /// `stand_in`, which is to do what this one would do meanwhile; says whether that was so.
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
        // If it cannot be had, this thread goes on when all have been woken.
        self.see_to_successor(&mut state);
        self.wake_queue(&mut state, Some(number));
        let at = state.posts.iter().position(|post| post.number == number);
        let post = at.map(|at| state.posts.swap_remove(at));
        drop(state);
        post.is_some_and(|post| post.stand_in.is_none())
    }

    /// The pool has ended: threads that have nothing to do end at once.
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

    /// Sees to it that somebody watches, if there is anything that this thread may be kept from.
    fn see_to_successor(self: &Arc<Self>, state: &mut State) {
        if !state.has_successor && state.is_busy() {
            self.call_successor(state);
        }
    }

    /// Says whether one comes.
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

    /// The successor watches until there is something to do for it.
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
    /// Whether there is anything that a waker may keep from being done.
    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.posts.iter().any(|post| post.stand_in.is_some())
    }
}

impl fmt::Debug for Wakers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to be woken", self.state.lock().queue.len())
    }
}

/// Wakes some on this thread.
pub fn wake_here(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(wake);
}

/// A panic is reported by the hook, and ends no thread of a pool.
fn wake(waker: Waker) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake()))
        && let Err(again) = catch_unwind(AssertUnwindSafe(|| drop_as_failed(payload)))
    {
        std::mem::forget(again);
    }
}
