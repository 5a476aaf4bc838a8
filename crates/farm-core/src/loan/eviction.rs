//! Eviction: workers unmap the arrays that the master has dropped.
//!
//! A worker that has mapped an array keeps the mapping after the task, since the next task probably
//! uses the same array. The system gets the memory of an array back only when no process maps it.
//! So when the master drops an array, [`notify_dropped`] tells the pools, each pool tells its
//! workers, and a worker unmaps the arrays that are gone ([`evict`]). Only a worker knows which
//! arrays it has mapped, so no list of arrays travels, however many are dropped.

use std::sync::{OnceLock, Weak};

use parking_lot::Mutex;

static EVICT: OnceLock<fn()> = OnceLock::new();

/// In a worker: sets the function that unmaps arrays which are gone. Only the first call counts.
pub fn evict_by(evict: fn()) {
    let _ = EVICT.set(evict);
}

/// In a worker: unmaps the arrays that are gone. Does nothing if [`evict_by`] was not called.
pub fn evict() {
    if let Some(evict) = EVICT.get() {
        evict();
    }
}

/// A pool whose workers may have arrays mapped.
pub trait Listener: Send + Sync {
    /// The master has dropped an array that workers may have mapped. Any code of the program may be
    /// the caller, so this must not wait.
    fn on_dropped(&self);
}

static LISTENERS: Mutex<Vec<Weak<dyn Listener>>> = Mutex::new(Vec::new());

/// In the master: has `listener` told of dropped arrays, as long as it lives.
pub fn listen(listener: Weak<dyn Listener>) {
    let mut listeners = LISTENERS.lock();
    listeners.retain(|listener| listener.strong_count() > 0);
    listeners.push(listener);
}

/// In the master: tells all listeners that an array which workers may have mapped was dropped.
pub fn notify_dropped() {
    // The lock is released before listeners are called, because the last reference to one may be
    // dropped here.
    let listeners = LISTENERS.lock().clone();
    listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.on_dropped());
}
