//! A block of anonymous shared memory.
//!
//! The master makes it; a worker opens it by the master's descriptor, in /proc, which it is told by the welcome. So no
//! name has to be found or removed, and no other program inherits it. Its pages are taken when they are first written
//! to, so a block can be made larger than what is ever used of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::event::Timespec;
use rustix::fs::{FallocateFlags, MemfdFlags, memfd_create};
use rustix::thread::futex;

use super::memory::Memory;

/// What lies between two counts, so that none shares a line of the cache with another.
pub(crate) const CELL: usize = 128;

pub(crate) struct Block {
    mapping: MmapRaw,
    /// By which others open it, and room is given back.
    file: Option<File>,
}

/// What a process may do with a block that another has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Block {
    /// Makes a block of zeros.
    pub(crate) fn create(name: &str, bytes: usize) -> io::Result<Self> {
        let file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
        file.set_len(bytes as u64)?;
        // What this process forks may still drop what lies there, or read it; it does not write to it.
        let mapping = MmapOptions::new().len(bytes).no_reserve_swap().map_raw(&file)?;
        Ok(Self { mapping, file: Some(file) })
    }

    /// Opens a block of this process's master.
    pub(crate) fn open(master: u32, descriptor: RawFd, access: Access) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(access == Access::Write)
            .open(format!("/proc/{master}/fd/{descriptor}"))?;
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut options = MmapOptions::new();
        options.len(bytes).no_reserve_swap();
        let mapping = match access {
            Access::Read => options.map_raw_read_only(&file)?,
            Access::Write => options.map_raw(&file)?,
        };
        mapping.advise(Advice::DontFork)?;
        Ok(Self { mapping, file: (access == Access::Write).then_some(file) })
    }

    /// By which a worker opens it.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.file.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// Where it is mapped.
    pub(super) fn address(&self) -> usize {
        self.mapping.as_ptr().addr()
    }

    /// Where bytes lie that are within the block.
    fn place(&self, at: usize, bytes: usize) -> *mut u8 {
        let end = at.checked_add(bytes);
        assert!(end.is_some_and(|end| end <= self.len()), "{at} + {bytes} is beyond the block");
        // SAFETY: it is within the mapping, as has just been established.
        unsafe { self.mapping.as_mut_ptr().add(at) }
    }

    /// The bytes at that place.
    ///
    /// # Safety
    ///
    /// No process writes to them as long as the slice lives.
    pub(crate) unsafe fn bytes(&self, at: usize, bytes: usize) -> &[u8] {
        // SAFETY: they are mapped as long as `self` lives; the caller promises the rest.
        unsafe { std::slice::from_raw_parts(self.place(at, bytes), bytes) }
    }

    /// The bytes at that place, to be written to.
    ///
    /// # Safety
    ///
    /// Nobody else uses them as long as the slice lives.
    #[expect(clippy::mut_from_ref, reason = "to whom which bytes belong is not told by the block")]
    pub(super) unsafe fn bytes_mut(&self, at: usize, bytes: usize) -> &mut [u8] {
        // SAFETY: they are mapped as long as `self` lives; the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.place(at, bytes), bytes) }
    }

    /// Gives the memory of these bytes back to the system; they are zeros from then on.
    pub(crate) fn give_back(&self, at: usize, bytes: usize) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Some(file) = &self.file {
            let _ = rustix::fs::fallocate(file, flags, at as u64, bytes as u64);
        }
    }
}

impl Memory for Block {
    type Count = AtomicU64;
    type Word = AtomicU32;

    fn count(&self, n: usize) -> &AtomicU64 {
        // SAFETY: the place is mapped as long as `self` lives, readable and writable, and aligned, since a mapping
        // begins with a page; any bytes are valid; and all sides use it through this function, hence atomically.
        unsafe { AtomicU64::from_ptr(self.place(n * CELL, size_of::<AtomicU64>()).cast()) }
    }

    fn word(&self, n: usize) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(self.place(n * CELL, size_of::<AtomicU32>()).cast()) }
    }

    fn mark(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()), "{at} is no place for a word");
        // SAFETY: as above; it is aligned, as has just been established. What the protocol writes over it as bytes, it
        // does not use as a word at the same time.
        unsafe { AtomicU32::from_ptr(self.place(at, size_of::<AtomicU32>()).cast()) }
    }

    unsafe fn put(&self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: the place has room for them, and belongs to nobody else, as the caller promises.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    unsafe fn get(&self, at: usize, bytes: &mut [u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: as above; a partner that breaks the protocol can change the bytes, of which any are valid.
        unsafe { place.copy_to_nonoverlapping(bytes.as_mut_ptr(), bytes.len()) }
    }

    fn fence() {
        fence(Ordering::SeqCst);
    }

    fn wait(&self, n: usize, value: u32, timeout: Option<Duration>) {
        let timeout = timeout.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        // Interruptions, and a value that has changed, end the sleep early, which does no harm.
        let _ = futex::wait(self.word(n), futex::Flags::empty(), value, timeout.as_ref());
    }

    fn wake(&self, n: usize) {
        let _ = futex::wake(self.word(n), futex::Flags::empty(), 1);
    }
}
