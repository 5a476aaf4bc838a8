//! Starts the farm's own threads, which have all signals blocked, and tells them from other
//! threads.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{Builder, JoinHandle};

use farm_core::backend::{Wakers, wake_here};
use farm_os::limits::name_limit_of_threads;

use super::signals;

thread_local! {
    static POOL_THREAD: Cell<bool> = const { Cell::new(false) };
    static THREAD_LOCALS: Cell<Locals> = const { Cell::new(Locals::Unused) };
    static LAST_MADE: LastMade = const { LastMade };
}

/// The state of the thread-locals that other libraries have on this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locals {
    Unused,
    Used,
    Gone,
}

/// A thread-local whose destructor notes that others are going to be destroyed. Thread-locals are
/// destroyed in the reverse order of their first use, so this one before all that had been used
/// when it was made.
struct LastMade;

impl Drop for LastMade {
    fn drop(&mut self) {
        THREAD_LOCALS.set(Locals::Gone);
    }
}

/// Whether thread-locals of other libraries can still be used on this thread, as far as they have
/// been [noted](note_thread_locals).
pub(crate) fn has_thread_locals() -> bool {
    THREAD_LOCALS.get() != Locals::Gone
}

/// Notes that thread-locals of other libraries have been used on this thread. They are destroyed
/// when the thread ends.
pub(crate) fn note_thread_locals() {
    if THREAD_LOCALS.replace(Locals::Used) == Locals::Unused {
        let _ = LAST_MADE.try_with(|_| ());
    }
}

/// Calls `body` on another thread, which has all its thread-locals, and waits for the result.
///
/// # Errors
///
/// If the system refuses a thread, or if `body` panics.
pub(crate) fn on_another_thread<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let there = signals::with_all_signals_blocked(|| Builder::new().spawn_scoped(scope, body))?;
        there.join().map_err(|_| io::Error::other("a thread has panicked"))
    })
}

/// Starts a thread of a pool.
pub(crate) fn spawn(
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start(name, move || {
        POOL_THREAD.set(true);
        body();
    })
}

fn start(
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    signals::with_all_signals_blocked(|| Builder::new().name(name.into()).spawn(body))
        .map_err(name_limit_of_threads)
}

/// Starts a thread for wakers. It does not count as a thread of a pool: no pool needs it to go on,
/// so it may wait for one.
pub(crate) fn spawn_for_wakers(name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    start(name, body).map(drop)
}

/// Calls `body` on a thread that counts as a thread of a pool for that time.
pub(crate) fn as_pool_thread(body: impl FnOnce()) {
    let outer = POOL_THREAD.replace(true);
    body();
    POOL_THREAD.set(outer);
}

/// Hands `wakers` over to other threads. If the system refuses those, calls them on this thread,
/// which must hold neither the turn to receive nor a lock.
pub(crate) fn wake(by: &Arc<Wakers>, wakers: Vec<Waker>) {
    let left = by.hand_over(wakers);
    if !left.is_empty() {
        as_pool_thread(|| wake_here(left));
    }
}

/// Whether this is a thread of a pool. Wakers are foreign code. One that a thread of a pool calls
/// must wait neither for room in a queue nor for the end of a pool, because both need this thread.
pub(crate) fn is_pool_thread() -> bool {
    POOL_THREAD.get()
}
