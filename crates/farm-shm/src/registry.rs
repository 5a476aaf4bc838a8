//! What this process has of segments: those that it has made, and, in a worker, those of its master that it has
//! opened and keeps for the next task.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Once, OnceLock, Weak};
use std::time::{Duration, Instant};

use farm_core::loan::eviction;
use farm_os::{Lock, Owner};
use parking_lot::{Mutex, MutexGuard};

use crate::ShmError;
use crate::name::Name;
use crate::segment::{Access, Mapping};

#[derive(Default)]
pub(crate) struct Registry {
    closed: bool,
    /// Says that the owner of `made` lives; held while there is any.
    lock: Option<Lock>,
    made: BTreeSet<Name>,
    mine: HashMap<Name, Weak<Mapping>>,
    opened: HashMap<(Name, Access), Arc<Mapping>>,
    /// When something was dropped last that workers may have kept.
    last_gone: Option<Instant>,
}

/// The registry of this process.
pub(crate) fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default).lock()
}

/// Removes all segments of this process at once, and lets it make no more.
///
/// This is for a program that is about to end without dropping its arrays, as on Ctrl-C. Workers may go
/// on using what they have mapped; the memory is returned when they end.
pub fn remove_all() {
    let mut registry = registry();
    registry.closed = true;
    for name in std::mem::take(&mut registry.made).into_iter().filter(Name::is_ours) {
        let _ = rustix::shm::unlink(name.to_string());
    }
    registry.lock = None;
}

impl Registry {
    /// A segment is going to be made.
    pub(crate) fn will_make(&mut self, name: Name) -> Result<(), ShmError> {
        if self.closed {
            return Err(ShmError::Closed);
        }
        if self.lock.as_ref().is_none_or(|lock| lock.owner() != name.owner()) {
            // What is older was inherited by a fork.
            self.made.clear();
            let system =
                |source| ShmError::System { doing: "lock", name: name.to_string(), source };
            self.lock = Some(name.owner().lock().map_err(system)?);
            static SWEEP: Once = Once::new();
            SWEEP.call_once(Owner::sweep);
        }
        self.made.insert(name);
        Ok(())
    }

    /// It has been made.
    pub(crate) fn note_made(&mut self, mapping: &Arc<Mapping>) -> Result<(), ShmError> {
        if self.closed {
            return Err(ShmError::Closed);
        }
        self.mine.insert(mapping.name(), Arc::downgrade(mapping));
        Ok(())
    }

    /// It is removed, or was not made after all.
    pub(crate) fn note_removed(&mut self, name: Name) {
        self.mine.remove(&name);
        if self.made.remove(&name) && self.made.is_empty() {
            self.lock = None;
        }
    }

    /// A segment that this process has, if it has it.
    pub(crate) fn find(&self, name: Name, access: Access) -> Option<Arc<Mapping>> {
        let mine = self.mine.get(&name).and_then(Weak::upgrade);
        mine.or_else(|| self.opened.get(&(name, access)).cloned())
    }

    /// Keeps a segment of the master's for the next task.
    pub(crate) fn keep(&mut self, access: Access, mapping: Arc<Mapping>) {
        eviction::evict_by(evict);
        self.opened.insert((mapping.name(), access), mapping);
    }

    /// A segment is gone that workers may have kept.
    pub(crate) fn note_dropped(&mut self) {
        self.last_gone = Some(Instant::now());
    }

    /// Whether there may soon be more room, because workers are letting go, which takes them so long.
    pub(crate) fn may_get_room(&self, letting_go: Duration) -> bool {
        self.last_gone.is_some_and(|last| last.elapsed() < letting_go)
    }
}

/// Lets go of what the master has removed; it will not ask for it again.
fn evict() {
    let mut gone = Vec::new();
    registry().opened.retain(|(name, _), mapping| {
        let stays = Arc::strong_count(mapping) > 1 || name.path().exists();
        if !stays {
            gone.push(mapping.clone());
        }
        stays
    });
    // Unmapping much takes time, and the registry is not needed for it.
    drop(gone);
}
