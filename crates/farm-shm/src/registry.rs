//! The segments of this process: those that it has made, and, in a worker, those of its master that
//! it has opened and keeps for the next task.

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
    /// The lock of the owner of `made`. It shows that the owner lives, and is held while `made` is
    /// not empty.
    lock: Option<Lock>,
    /// The segments that this process has made, or is about to make, and has not removed.
    made: BTreeSet<Name>,
    /// The mappings of the segments in `made`, as long as a handle uses them.
    mine: HashMap<Name, Weak<Mapping>>,
    /// In a worker: the mappings of segments of the master.
    opened: HashMap<(Name, Access), Arc<Mapping>>,
    /// When a segment that workers may have mapped was dropped last.
    last_gone: Option<Instant>,
}

/// Locks the registry of this process.
pub(crate) fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default).lock()
}

/// Removes all segments of this process at once, and refuses to make new ones.
///
/// This is for a program that is about to end without dropping its arrays, as on Ctrl-C. Workers
/// can go on using the segments that they have mapped. That memory is returned to the system when
/// they end.
pub fn remove_all() {
    let mut registry = registry();
    registry.closed = true;
    for name in std::mem::take(&mut registry.made).into_iter().filter(Name::is_ours) {
        let _ = rustix::shm::unlink(name.to_string());
    }
    registry.lock = None;
}

impl Registry {
    /// Notes that this process is about to make a segment.
    pub(crate) fn will_make(&mut self, name: Name) -> Result<(), ShmError> {
        if self.closed {
            return Err(ShmError::Closed);
        }
        if self.lock.as_ref().is_none_or(|lock| lock.owner() != name.owner()) {
            // The former names were inherited from the process that forked this one.
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

    /// Notes that a segment was made.
    pub(crate) fn note_made(&mut self, mapping: &Arc<Mapping>) -> Result<(), ShmError> {
        if self.closed {
            return Err(ShmError::Closed);
        }
        self.mine.insert(mapping.name(), Arc::downgrade(mapping));
        Ok(())
    }

    /// Notes that a segment was removed, or was not made after all.
    pub(crate) fn note_removed(&mut self, name: Name) {
        self.mine.remove(&name);
        if self.made.remove(&name) && self.made.is_empty() {
            self.lock = None;
        }
    }

    /// Returns the mapping of a segment that this process has made, or has opened for this access.
    pub(crate) fn find(&self, name: Name, access: Access) -> Option<Arc<Mapping>> {
        let mine = self.mine.get(&name).and_then(Weak::upgrade);
        mine.or_else(|| self.opened.get(&(name, access)).cloned())
    }

    /// Keeps the mapping of a segment of the master for the next task.
    pub(crate) fn keep(&mut self, access: Access, mapping: Arc<Mapping>) {
        eviction::evict_by(evict);
        self.opened.insert((mapping.name(), access), mapping);
    }

    /// Notes that a segment was dropped that workers may have mapped.
    pub(crate) fn note_dropped(&mut self) {
        self.last_gone = Some(Instant::now());
    }

    /// Returns whether there may be more room soon, because workers are still unmapping segments
    /// that were dropped, which takes them up to `letting_go`.
    pub(crate) fn may_get_room(&self, letting_go: Duration) -> bool {
        self.last_gone.is_some_and(|last| last.elapsed() < letting_go)
    }
}

/// Unmaps the segments that the master has removed and no handle uses. The master does not lend
/// them again.
fn evict() {
    let mut gone = Vec::new();
    registry().opened.retain(|(name, _), mapping| {
        let stays = Arc::strong_count(mapping) > 1 || name.path().exists();
        if !stays {
            gone.push(mapping.clone());
        }
        stays
    });
    // Unmapping a large segment takes time, so the lock of the registry is not held meanwhile.
    drop(gone);
}
