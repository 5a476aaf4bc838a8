//! What workers keep of shared arrays for the next task, and when they let it go.
//!
//! A worker that has opened an array keeps it open, since the next task most likely uses it again. When the
//! master drops the array, its memory is returned only once no process has it open any more. So the master
//! says that something is [`notify_dropped`], pools listen and tell their workers, and a worker lets go of what is
//! gone. Who has opened what is known to the workers alone: no list travels, however much is dropped.

use std::sync::{OnceLock, Weak};

use parking_lot::Mutex;

static EVICT: OnceLock<fn()> = OnceLock::new();

/// In a worker: says how it lets go of what is gone. The first call counts.
pub fn evict_by(evict: fn()) {
    let _ = EVICT.set(evict);
}

/// In a worker: lets go of what is gone.
pub fn evict() {
    if let Some(evict) = EVICT.get() {
        evict();
    }
}

/// A pool whose workers may keep something.
pub trait Listener: Send + Sync {
    /// Something is gone. The caller may be any code at all, so this must not wait.
    fn on_dropped(&self);
}

static LISTENERS: Mutex<Vec<Weak<dyn Listener>>> = Mutex::new(Vec::new());

/// In the master: `listener` will be told of what is gone, as long as it lives.
pub fn listen(listener: Weak<dyn Listener>) {
    let mut listeners = LISTENERS.lock();
    listeners.retain(|listener| listener.strong_count() > 0);
    listeners.push(listener);
}

/// In the master: something that workers may have kept is gone.
pub fn notify_dropped() {
    // Not under the lock: the last holder of a listener may go here.
    let listeners = LISTENERS.lock().clone();
    listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.on_dropped());
}
