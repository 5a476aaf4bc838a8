//! Segments of shared memory: their names, their life, and where they are mapped.
//!
//! A segment belongs to the process that made it and is removed when its last handle there is dropped,
//! also by a panic. Workers open it by name and keep the mapping for the next task. A worker that only
//! reads maps it without the right to write.
//!
//! Raw pointers stay in this file: views are made here and nowhere else.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock, Weak};

use farm_core::Owner;
use ndarray::{ArrayView, ArrayViewMut, Dimension};
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::mm::{MprotectFlags, mprotect};
use serde::{Deserialize, Serialize};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::space::{self, FOLDER};
use crate::{Element, ShmError};

/// Names a segment: `farm-<pid>-<start time of the process>-<n>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Name {
    owner: Owner,
    n: u64,
}

impl Name {
    fn next() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        static OWNER: OnceLock<Owner> = OnceLock::new();
        let known = *OWNER.get_or_init(Owner::this);
        // A child that a task has forked owns what it makes itself.
        let owner = if known.pid() == std::process::id() { known } else { Owner::this() };
        // Relaxed: only uniqueness matters.
        Self { owner, n: NEXT.fetch_add(1, Ordering::Relaxed) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.owner, self.n)
    }
}

/// What a mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A segment as it is mapped into this process.
pub(crate) struct Mapping {
    name: Name,
    address: NonNull<u8>,
    bytes: usize,
    shmem: Shmem,
}

// SAFETY: a `Mapping` owns its memory like a `Box<[u8]>`. `Shmem` is not `Send` because it hands out its
// pointer freely; here it stays inside, and is touched by `drop` alone.
unsafe impl Send for Mapping {}
// SAFETY: as above; through a shared `Mapping` only `view` and `view_mut` reach the memory, whose callers
// establish that no view is made while a mutable one of the same rows lives.
unsafe impl Sync for Mapping {}

/// What this process has of segments.
#[derive(Default)]
struct Registry {
    closed: bool,
    /// Made by this process.
    owned: BTreeSet<Name>,
    mine: HashMap<Name, Weak<Mapping>>,
    /// Opened by this process as a worker, and kept for the next task.
    opened: HashMap<(Name, Access), Arc<Mapping>>,
}

fn registry() -> &'static Mutex<Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    REGISTRY.get_or_init(Mutex::default)
}

/// Removes all segments of this process at once, and lets it make no more.
///
/// This is for a program that is about to end without dropping its arrays, as on Ctrl-C. Workers may go
/// on using what they have mapped; the memory is returned when they end.
pub fn remove_all() {
    let mut registry = registry().lock();
    registry.closed = true;
    for name in std::mem::take(&mut registry.owned) {
        let _ = rustix::shm::unlink(name.to_string());
    }
}

impl Mapping {
    /// Makes a segment of zeros. Its room is reserved, so that no later write can fail.
    pub(crate) fn create(bytes: usize) -> Result<Arc<Self>, ShmError> {
        let (available, hint) = space::available();
        let full = || ShmError::Full { bytes, available, hint };
        if bytes as u64 > available {
            return Err(full());
        }
        let name = Name::next();
        let refused = |doing, source| ShmError::System { doing, name: name.to_string(), source };
        let mut registry = registry().lock();
        if registry.closed {
            return Err(ShmError::Closed);
        }
        // A segment cannot be empty.
        let shmem = ShmemConf::new()
            .os_id(name.to_string())
            .size(bytes.max(1))
            .create()
            .map_err(|error| refused("create", io_error(error)))?;
        let reserved = rustix::shm::open(
            name.to_string(),
            rustix::shm::OFlags::RDWR,
            rustix::fs::Mode::empty(),
        )
        .and_then(|file| fallocate(file, FallocateFlags::empty(), 0, bytes.max(1) as u64));
        match reserved {
            Ok(()) => {}
            Err(rustix::io::Errno::NOSPC | rustix::io::Errno::NOMEM) => return Err(full()),
            Err(error) => return Err(refused("reserve", error.into())),
        }
        let mapping = Arc::new(Self::new(name, bytes, shmem));
        registry.owned.insert(name);
        registry.mine.insert(name, Arc::downgrade(&mapping));
        Ok(mapping)
    }

    /// Finds a segment that this process made, or opens one of its master's.
    pub(crate) fn open(name: Name, access: Access) -> Result<Arc<Self>, ShmError> {
        let mut registry = registry().lock();
        if let Some(mapping) = registry.mine.get(&name).and_then(Weak::upgrade) {
            return Ok(mapping);
        }
        if let Some(mapping) = registry.opened.get(&(name, access)) {
            return Ok(mapping.clone());
        }
        // What the master has removed will not be asked for again.
        registry.opened.retain(|(name, _), mapping| {
            Arc::strong_count(mapping) > 1
                || std::path::Path::new(FOLDER).join(name.to_string()).exists()
        });
        let refused = |doing, source| ShmError::System { doing, name: name.to_string(), source };
        let shmem = ShmemConf::new()
            .os_id(name.to_string())
            .open()
            .map_err(|error| refused("open", io_error(error)))?;
        let mapping = Self::new(name, shmem.len(), shmem);
        if access == Access::Read {
            // SAFETY: the range is that of a mapping which this process has just made, and to which no
            // reference exists yet. shared_memory maps all segments writable, so the right is taken away.
            unsafe {
                mprotect(mapping.address.as_ptr().cast(), mapping.bytes, MprotectFlags::READ)
            }
            .map_err(|error| refused("protect", error.into()))?;
        }
        let mapping = Arc::new(mapping);
        registry.opened.insert((name, access), mapping.clone());
        Ok(mapping)
    }

    fn new(name: Name, bytes: usize, shmem: Shmem) -> Self {
        let address = NonNull::new(shmem.as_ptr()).unwrap_or(NonNull::dangling());
        Self { name, address, bytes, shmem }
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }

    /// Whether an array of this shape fits.
    pub(crate) fn holds<T: Element, D: Dimension>(&self, shape: &D) -> bool {
        bytes_of::<T>(shape.slice()).is_some_and(|bytes| bytes <= self.bytes)
    }

    /// A view of `shape`, from element `first` on.
    ///
    /// # Safety
    ///
    /// - `first` and the size of `shape` lie within a shape that [`holds`](Self::holds).
    /// - Nobody, in any process, writes to these elements while the view lives.
    pub(crate) unsafe fn view<T: Element, D: Dimension>(
        &self,
        first: usize,
        shape: D,
    ) -> ArrayView<'_, T, D> {
        // SAFETY: the caller's first promise keeps pointer and shape inside the mapping, which is aligned
        // to a page and lives as long as the view; any bytes are a `T`; the second excludes writers.
        unsafe { ArrayView::from_shape_ptr(shape, self.address.cast::<T>().add(first).as_ptr()) }
    }

    /// A mutable view of `shape`, from element `first` on.
    ///
    /// # Safety
    ///
    /// As [`view`](Self::view); and the mapping was opened for [`Access::Write`], and nobody, in any
    /// process, reads these elements while the view lives.
    #[allow(clippy::mut_from_ref, reason = "the callers hold the one handle that may write")]
    pub(crate) unsafe fn view_mut<T: Element, D: Dimension>(
        &self,
        first: usize,
        shape: D,
    ) -> ArrayViewMut<'_, T, D> {
        // SAFETY: as in `view`; the caller promises that this is the only access.
        unsafe { ArrayViewMut::from_shape_ptr(shape, self.address.cast::<T>().add(first).as_ptr()) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // A child that a task has forked inherits the handle but not the segment.
        if self.shmem.is_owner() && self.name.owner.pid() == std::process::id() {
            let mut registry = registry().lock();
            registry.owned.remove(&self.name);
            registry.mine.remove(&self.name);
        } else {
            self.shmem.set_owner(false);
        }
    }
}

/// The bytes of an array, if an address can count them.
pub(crate) fn bytes_of<T>(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(size_of::<T>(), |bytes, n| bytes.checked_mul(*n))
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        // ndarray counts the elements without the axes that have none, and those that have no size too.
        .filter(|_| {
            shape
                .iter()
                .filter(|n| **n != 0)
                .try_fold(size_of::<T>().max(1), |b, n| b.checked_mul(*n))
                .is_some_and(|bytes| isize::try_from(bytes).is_ok())
        })
}

fn io_error(error: ShmemError) -> std::io::Error {
    match error {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => std::io::Error::from_raw_os_error(code.cast_signed()),
        other => std::io::Error::other(other.to_string()),
    }
}
