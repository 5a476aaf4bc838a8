//! Segments of shared memory, and their mappings.
//!
//! A segment belongs to the process that made it, and is removed when its last handle in that
//! process is dropped, also by a panic. Workers open it by name, and keep the mapping for the next
//! task. A worker that only reads maps it without the right to write. A process that a worker forks
//! does not have the worker's mappings.
//!
//! Only this file handles raw pointers: all views are made here.

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

use farm_core::loan::eviction;
use farm_os::Owner;
use farm_os::limits::{check_file, keep_standard_descriptors};
use ndarray::{ArrayView, ArrayViewMut, Dimension};
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, Mode, fallocate};
use rustix::io::{Errno, retry_on_intr};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::shm::OFlags;
use serde::{Deserialize, Serialize};
use shared_memory::{Shmem, ShmemConf, ShmemError};

use crate::name::Name;
use crate::ranges::{gaps, include};
use crate::registry::registry;
use crate::undo::Undo;
use crate::{Element, ShmError, space};

/// How long workers may take to unmap segments that were dropped.
const LETTING_GO: Duration = Duration::from_millis(500);

/// The alignment of every mapping. Source: the smallest page of x86-64 and aarch64.
const PAGE: usize = 4096;

/// Up to this number of bytes, only the file system decides whether there is room. To find out
/// beforehand would take longer than to make the segment.
const SMALL: usize = 1 << 20;

/// How many bytes are reserved by one system call.
const STEP: usize = 64 << 20;

/// From this number of bytes on, a worker asks the kernel at once for all pages that it is going to
/// overwrite. To get them by one page fault each takes twice as long.
const MANY_PAGES: usize = 1 << 18;

/// What a mapping may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum Access {
    Read,
    Write,
}

/// A mapping of a segment in this process.
pub(crate) struct Mapping {
    name: Name,
    address: NonNull<u8>,
    bytes: usize,
    /// The owner of the mapping, if this process has made the segment.
    made: Option<Shmem>,
    /// Whether workers may have opened the segment.
    lent: AtomicBool,
    /// In a worker: the bytes whose pages were asked for.
    at_hand: Mutex<Vec<Range<usize>>>,
    /// In the master: where tasks keep the old rows of bands. It is made when the first task needs
    /// it.
    pub(crate) undo: Mutex<Option<Arc<Undo>>>,
}

// SAFETY: a `Mapping` owns its memory like a `Box<[u8]>`. `Shmem` is not `Send` because it hands
// out its pointer freely. Here it is private, and only `drop` uses it.
unsafe impl Send for Mapping {}
// SAFETY: as above. Through a shared `Mapping`, the memory can be accessed only by views and by
// `byte`. The callers that make views establish that none exists while a mutable view of the same
// elements lives; `byte` is atomic.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Makes a segment of zeros. Its memory is reserved, so that no later write can fail.
    pub(crate) fn create(bytes: usize) -> Result<Arc<Self>, ShmError> {
        with_patience(|| Self::create_whole(bytes))
    }

    fn create_whole(bytes: usize) -> Result<Arc<Self>, ShmError> {
        check_room(bytes)?;
        let mapping = Self::create_sparse(bytes)?;
        mapping.reserve(0..bytes)?;
        Ok(mapping)
    }

    /// Makes a segment that reads as zeros. It may be written to only where memory was
    /// [reserved](Self::reserve).
    pub(crate) fn create_sparse(bytes: usize) -> Result<Arc<Self>, ShmError> {
        keep_standard_descriptors();
        let name = Name::next();
        check_file(bytes).map_err(|source| ShmError::System {
            doing: "create",
            name: name.to_string(),
            source,
        })?;
        registry().will_make(name)?;
        // A segment of no bytes cannot be mapped.
        let shmem = ShmemConf::new().os_id(name.to_string()).size(bytes.max(1)).create();
        let shmem = shmem.map_err(|error| {
            registry().note_removed(name);
            refused(name, bytes, "create", io_error(error))
        })?;
        let address = NonNull::new(shmem.as_ptr()).unwrap_or(NonNull::dangling());
        leave_out_of_dumps(address, bytes);
        let mapping = Arc::new(Self::new(name, address, bytes, Some(shmem)));
        registry().note_made(&mapping)?;
        Ok(mapping)
    }

    /// Reserves memory for these bytes, so that they can be written to. If there is not enough for
    /// all of them, none is reserved.
    pub(crate) fn reserve(&self, bytes: Range<usize>) -> Result<(), ShmError> {
        let refused = |error: Errno| refused(self.name, bytes.len(), "reserve", error.into());
        keep_standard_descriptors();
        let file = rustix::shm::open(self.name.to_string(), OFlags::RDWR, Mode::empty());
        let file = file.map_err(refused)?;
        let change = |range: Range<usize>, flags| {
            let (start, length) = (range.start as u64, range.len() as u64);
            retry_on_intr(|| fallocate(&file, flags, start, length))
        };
        // The range is reserved in steps, because a signal makes the kernel begin a system call
        // again.
        for start in bytes.clone().step_by(STEP) {
            let step = start..bytes.end.min(start + STEP);
            if let Err(error) = change(step, FallocateFlags::empty()) {
                if start > bytes.start {
                    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                    let _ = change(bytes.start..start, flags);
                }
                return Err(refused(error));
            }
        }
        Ok(())
    }

    /// Finds the mapping of a segment that this process has made or opened, or opens one of the
    /// master.
    pub(crate) fn open(name: Name, access: Access) -> Result<Arc<Self>, ShmError> {
        let mut registry = registry();
        if let Some(mapping) = registry.find(name, access) {
            return Ok(mapping);
        }
        let refused =
            |doing| move |error: Errno| refused(name, 0, doing, std::io::Error::from(error));
        let (flags, rights) = match access {
            Access::Read => (OFlags::RDONLY, ProtFlags::READ),
            Access::Write => (OFlags::RDWR, ProtFlags::READ | ProtFlags::WRITE),
        };
        keep_standard_descriptors();
        let file = rustix::shm::open(name.to_string(), flags, Mode::empty());
        let file = file.map_err(refused("open"))?;
        let bytes = rustix::fs::fstat(&file).map_err(refused("measure"))?.st_size;
        let bytes = usize::try_from(bytes).unwrap_or(0);
        // shared_memory is not used here: it would map the segment writable in any case, and keep
        // the descriptor, of which a worker has few.
        // SAFETY: the kernel chooses an address range that is free.
        let mapped =
            unsafe { mmap(std::ptr::null_mut(), bytes, rights, MapFlags::SHARED, &file, 0) };
        let address = mapped.map_err(refused("map"))?;
        let place = NonNull::new(address.cast()).unwrap_or(NonNull::dangling());
        let mapping = Arc::new(Self::new(name, place, bytes, None));
        // SAFETY: the range is that of the new mapping. The advice affects only children that this
        // process forks later.
        unsafe { madvise(address, bytes, Advice::LinuxDontFork) }
            .map_err(refused("keep to this process"))?;
        leave_out_of_dumps(place, bytes);
        registry.keep(access, mapping.clone());
        Ok(mapping)
    }

    fn new(name: Name, address: NonNull<u8>, bytes: usize, made: Option<Shmem>) -> Self {
        let lent = AtomicBool::new(false);
        Self { name, address, bytes, made, lent, at_hand: Mutex::default(), undo: Mutex::default() }
    }

    /// In a worker: asks the kernel for the pages of these bytes, unless it was asked for them
    /// before. A task is going to write to all of the bytes.
    pub(crate) fn get_at_hand(&self, bytes: &Range<usize>) {
        if self.made.is_some() || bytes.len() < MANY_PAGES {
            return;
        }
        assert!(bytes.end <= self.bytes, "{bytes:?} of {} bytes", self.bytes);
        let page = rustix::param::page_size();
        let pages = bytes.start / page * page..bytes.end.next_multiple_of(page);
        let mut at_hand = self.at_hand.lock();
        for gap in gaps(&at_hand, &pages) {
            // SAFETY: the range lies within the pages of the mapping, and no byte is changed. If
            // the kernel cannot do this, each page is allocated when it is first written to.
            let _ = unsafe {
                let address = self.address.as_ptr().add(gap.start).cast();
                madvise(address, gap.len(), Advice::LinuxPopulateWrite)
            };
        }
        include(&mut at_hand, pages);
    }

    pub(crate) fn name(&self) -> Name {
        self.name
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the name of the segment for a grant. The worker that gets the grant opens the
    /// segment.
    pub(crate) fn lend(&self) -> Name {
        // Relaxed: `drop` reads it with exclusive access, after all other uses.
        self.lent.store(true, Ordering::Relaxed);
        self.name
    }

    /// Returns whether an array of this shape fits into the segment.
    pub(crate) fn holds<T: Element, D: Dimension>(&self, shape: &D) -> bool {
        bytes_of::<T>(shape.slice()).is_some_and(|bytes| bytes <= self.bytes)
    }

    /// Returns a byte that several processes may access at the same time.
    ///
    /// # Panics
    ///
    /// If the segment has no such byte.
    pub(crate) fn byte(&self, at: usize) -> &AtomicU8 {
        assert!(at < self.bytes, "byte {at} of {}", self.bytes);
        // SAFETY: the byte lies within the mapping, which lives as long as the borrow of `self`.
        // The callers of `view` and `view_mut` promise that no view contains this byte.
        unsafe { AtomicU8::from_ptr(self.address.as_ptr().add(at)) }
    }

    /// Returns a view of `shape`, from element `first` on.
    ///
    /// # Safety
    ///
    /// - `first` and the size of `shape` lie within a shape that [`holds`](Self::holds).
    /// - While the view lives, nothing in any process writes to these elements.
    pub(crate) unsafe fn view<T: Element, D: Dimension>(
        &self,
        first: usize,
        shape: D,
    ) -> ArrayView<'_, T, D> {
        // SAFETY: by the first promise of the caller, the elements lie within the mapping, which is
        // aligned to a page and lives as long as the view. All bytes are valid for a `T`. By the
        // second promise there are no writers.
        unsafe { ArrayView::from_shape_ptr(shape, self.address.cast::<T>().add(first).as_ptr()) }
    }

    /// Returns a mutable view of `shape`, from element `first` on.
    ///
    /// # Safety
    ///
    /// As for [`view`](Self::view). In addition, the mapping was opened for [`Access::Write`], and
    /// while the view lives, nothing else in any process reads these elements.
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
        let Some(mut made) = self.made.take() else {
            // SAFETY: `open` has mapped this range, and nothing refers to it any more.
            let _ = unsafe { munmap(self.address.as_ptr().cast(), self.bytes) };
            return;
        };
        // shared_memory does not unlink a segment whose descriptor is 0, so it is unlinked below.
        made.set_owner(false);
        // A forked child inherits the handle, but the segment belongs to its parent.
        if !self.name.is_ours() {
            return;
        }
        let _ = rustix::shm::unlink(self.name.to_string());
        drop(made);
        let mut registry = registry();
        registry.note_removed(self.name);
        if *self.lent.get_mut() {
            registry.note_dropped();
            drop(registry);
            eviction::notify_dropped();
        }
    }
}

/// Leaves a mapping out of core dumps. Otherwise the dump of each worker would contain all arrays
/// that the worker has mapped, also those that were dropped.
fn leave_out_of_dumps(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the range is that of a mapping which this process has just made, and no byte is
    // changed. If the kernel cannot do this, dumps are longer.
    let _ = unsafe { madvise(address.as_ptr().cast(), bytes.max(1), Advice::LinuxDontDump) };
}

/// Calls `make`. If there is no room, it removes what dead programs have left, gives workers a
/// moment to unmap what was dropped, and tries again.
pub(crate) fn with_patience<T>(make: impl Fn() -> Result<T, ShmError>) -> Result<T, ShmError> {
    let first = make();
    if !matches!(first, Err(ShmError::Full { .. })) {
        return first;
    }
    Owner::sweep();
    let patience = Instant::now() + LETTING_GO;
    loop {
        let again = make();
        let is_full = matches!(again, Err(ShmError::Full { .. }));
        if !is_full || Instant::now() > patience || !registry().may_get_room(LETTING_GO) {
            return again;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Fails if there is no room for `bytes` bytes, as far as that can be known without reserving them.
pub(crate) fn check_room(bytes: usize) -> Result<(), ShmError> {
    if bytes <= SMALL {
        return Ok(());
    }
    let (available, hint) = space::available();
    if bytes as u64 > available {
        return Err(ShmError::Full { bytes, available, hint });
    }
    Ok(())
}

/// Returns the size of an array in bytes; `None` if it is more than an array in memory can have.
pub(crate) fn bytes_of<T>(shape: &[usize]) -> Option<usize> {
    const { assert!(align_of::<T>() <= PAGE, "segments are aligned to a page of memory") };
    shape
        .iter()
        .try_fold(size_of::<T>(), |bytes, n| bytes.checked_mul(*n))
        .filter(|bytes| isize::try_from(*bytes).is_ok())
        // ndarray limits the product of the axis lengths that are not zero, also for elements
        // without a size.
        .filter(|_| {
            shape
                .iter()
                .filter(|n| **n != 0)
                .try_fold(size_of::<T>().max(1), |b, n| b.checked_mul(*n))
                .is_some_and(|bytes| isize::try_from(bytes).is_ok())
        })
}

fn refused(name: Name, bytes: usize, doing: &'static str, source: std::io::Error) -> ShmError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::NOMEM) if bytes > 0 => {
            let (available, hint) = space::available();
            ShmError::Full { bytes, available, hint }
        }
        _ => ShmError::System { doing, name: name.to_string(), source },
    }
}

fn io_error(error: ShmemError) -> std::io::Error {
    match error {
        ShmemError::MapCreateFailed(code)
        | ShmemError::MapOpenFailed(code)
        | ShmemError::UnknownOsError(code) => std::io::Error::from_raw_os_error(code.cast_signed()),
        other => std::io::Error::other(other.to_string()),
    }
}
