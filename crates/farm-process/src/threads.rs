//! The farm's own threads: they leave the program's signals alone, and never wait for each other.

use std::cell::Cell;
use std::io;
use std::thread::{Builder, JoinHandle};

use crate::signals;

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Starts a thread of a pool.
pub(crate) fn spawn(
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let body = move || {
        OURS.set(true);
        body();
    };
    signals::none_for_threads_of(|| Builder::new().name(name.into()).spawn(body))
}

/// Does what a thread of a pool does, on a thread that it is lent.
pub(crate) fn as_ours(body: impl FnOnce()) {
    let outer = OURS.replace(true);
    body();
    OURS.set(outer);
}

/// Whether this is a thread of a pool. It delivers outcomes, and so runs wakers, which are foreign code; what
/// they do here must wait neither for room in a queue nor for the end of a pool, which need this thread.
pub(crate) fn is_this_one_of_ours() -> bool {
    OURS.get()
}
