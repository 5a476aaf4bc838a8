//! The farm's own threads: they leave the program's signals alone, and never wait for each other.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::task::Waker;
use std::thread::{Builder, JoinHandle};

use farm_core::backend::{Wakers, wake_here};
use farm_os::limits::name_limit_of_threads;

use super::signals;

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
    static THREAD_LOCALS: Cell<Locals> = const { Cell::new(Locals::Unused) };
    static LAST_MADE: LastMade = const { LastMade };
}

/// What has become of the thread-locals that other libraries have on this thread.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locals {
    Unused,
    Used,
    Gone,
}

/// Thread-locals go in the reverse order of their first use: this one before all that were there when it was made.
struct LastMade;

impl Drop for LastMade {
    fn drop(&mut self) {
        THREAD_LOCALS.set(Locals::Gone);
    }
}

/// Whether thread-locals of other libraries can be used on this thread, as far as they have been [noted](note_thread_locals).
pub(crate) fn has_thread_locals() -> bool {
    THREAD_LOCALS.get() != Locals::Gone
}

/// Some have been used on this thread, and will be gone when it ends.
pub(crate) fn note_thread_locals() {
    if THREAD_LOCALS.replace(Locals::Used) == Locals::Unused {
        let _ = LAST_MADE.try_with(|_| ());
    }
}

/// Does something on another thread, which has all its thread-locals, and waits for it.
///
/// # Errors
///
/// If the system refuses a thread.
pub(crate) fn elsewhere<T: Send>(body: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let there = signals::none_for_threads_of(|| Builder::new().spawn_scoped(scope, body))?;
        there.join().map_err(|_| io::Error::other("a thread has panicked"))
    })
}

/// Starts a thread of a pool.
pub(crate) fn spawn(
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    start(name, move || {
        OURS.set(true);
        body();
    })
}

fn start(
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    signals::none_for_threads_of(|| Builder::new().name(name.into()).spawn(body))
        .map_err(name_limit_of_threads)
}

/// Starts a thread for wakers. No pool needs it, so that it may wait for one.
pub(crate) fn spawn_for_wakers(name: &str, body: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    start(name, body).map(drop)
}

/// Does what a thread of a pool does, on a thread that it is lent.
pub(crate) fn as_ours(body: impl FnOnce()) {
    let outer = OURS.replace(true);
    body();
    OURS.set(outer);
}

/// Has another thread wake, or, if none can be had, this one, which has neither the seat nor a lock.
pub(crate) fn wake(by: &Arc<Wakers>, wakers: Vec<Waker>) {
    let left = by.hand_over(wakers);
    if !left.is_empty() {
        as_ours(|| wake_here(left));
    }
}

/// Whether this is a thread of a pool. Where it has to wake, which is foreign code, that must wait neither for room in a
/// queue nor for the end of a pool, which need this thread.
pub(crate) fn is_this_one_of_ours() -> bool {
    OURS.get()
}
