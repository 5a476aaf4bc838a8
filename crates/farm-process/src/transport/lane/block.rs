//! A block of anonymous shared memory.
//!
//! The master makes it, and each worker gets a descriptor of it when it starts. So no name has to
//! be found or removed, and no other program inherits it.
//!
//! At first, a block only reserves addresses, more than are ever used. The file behind them
//! [grows](Block::grow) with what is used, and never shrinks. So a limit on the size of files
//! matters only to a pool that needs more, and in a program that locks all its memory (mlockall),
//! bytes that are not needed get no memory. A core dump would contain the whole block, including
//! pages that were never used, so blocks are left out of core dumps.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use farm_os::limits::{check_file, keep_standard_descriptors, longest_file};
use memmap2::{Advice, MmapOptions, MmapRaw};
use rustix::event::Timespec;
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::thread::futex;

use super::memory::Memory;

/// The distance in bytes from one count or word to the next, so that no two of them share a line of
/// the cache.
pub(crate) const CELL: usize = 128;

pub(crate) struct Block {
    mapping: MmapRaw,
    /// The file behind the mapping: workers get descriptors of it, and memory is given back through
    /// it. `None` if this process can only read the block.
    file: Option<File>,
    /// How long the file is known to be. Bytes of the mapping that lie behind the end of the file
    /// cannot be used. `Relaxed` suffices: the file never shrinks, so what this says remains true.
    length: AtomicUsize,
    /// The inode of the file. It tells whether the descriptor still leads to this file: a program
    /// or a task may close any descriptor, and open another file under its number.
    inode: u64,
}

/// What a process may do with a block that another process has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Block {
    /// Makes a block of `length` zero bytes, which can grow to `reserved` bytes.
    pub(crate) fn create(name: &str, length: usize, reserved: usize) -> io::Result<Self> {
        check_file(length)?;
        keep_standard_descriptors();
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create(name, flags)?);
        file.set_len(length as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK)?;
        // Unlike a mapping of `open`, this one is inherited by forks: a fork may still read or drop
        // values that lie there. It does not write to them.
        let mapping = MmapOptions::new().len(reserved).no_reserve_swap().map_raw(&file);
        let mapping = mapping.map_err(|error| no_addresses(reserved, error))?;
        mapping.advise(Advice::DontDump)?;
        let inode = file.metadata()?.ino();
        Ok(Self { mapping, file: Some(file), length: AtomicUsize::new(length), inode })
    }

    /// Opens a block that another process has made, and for which that process has reserved
    /// `reserved` bytes.
    pub(crate) fn open(file: File, reserved: usize, access: Access) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let length = usize::try_from(metadata.len()).map_err(io::Error::other)?;
        let mut options = MmapOptions::new();
        options.len(reserved).no_reserve_swap();
        let mapping = match access {
            Access::Read => options.map_raw_read_only(&file),
            Access::Write => options.map_raw(&file),
        };
        let mapping = mapping.map_err(|error| no_addresses(reserved, error))?;
        mapping.advise(Advice::DontFork)?;
        mapping.advise(Advice::DontDump)?;
        let file = (access == Access::Write).then_some(file);
        Ok(Self { mapping, file, length: AtomicUsize::new(length), inode: metadata.ino() })
    }

    /// The file and its length; `None` if the block cannot be written to, or its descriptor was
    /// closed.
    fn own_file(&self) -> Option<(&File, usize)> {
        let file = self.file.as_ref()?;
        let metadata = file.metadata().ok()?;
        // The file of a block has no name, hence no links.
        let is_own = (metadata.ino(), metadata.nlink()) == (self.inode, 0);
        is_own.then(|| (file, usize::try_from(metadata.len()).unwrap_or(usize::MAX)))
    }

    /// Makes the file at least `to` bytes long; returns whether it is. A file that has to grow
    /// becomes at least twice as long as it was, unless a limit is lower.
    pub(crate) fn grow(&self, to: usize) -> bool {
        if self.reaches(to) {
            return true;
        }
        let Some((file, _)) = self.own_file() else { return false };
        // The kernel kills a process that makes a file longer than its limit (SIGXFSZ).
        let most = self.len().min(usize::try_from(longest_file()).unwrap_or(usize::MAX));
        if to > most {
            return false;
        }
        let length = to.max(2 * self.length.load(Ordering::Relaxed)).min(most);
        let has_grown = file.set_len(length as u64).is_ok();
        if has_grown {
            self.length.store(length, Ordering::Relaxed);
        }
        has_grown
    }

    /// Whether the file has at least `end` bytes.
    pub(crate) fn reaches(&self, end: usize) -> bool {
        if end <= self.length.load(Ordering::Relaxed) {
            return true;
        }
        // Another process may have made the file longer.
        let Some((_, length)) = self.own_file() else { return false };
        let length = length.min(self.len());
        self.length.fetch_max(length, Ordering::Relaxed);
        end <= length
    }

    /// A duplicate of the descriptor, by which a worker opens the block.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        let (file, _) = self.own_file().ok_or_else(|| {
            io::Error::other("the program has closed the descriptor of memory that the pool shares")
        })?;
        Ok(file.try_clone()?.into())
    }

    /// How many bytes are reserved.
    pub(crate) fn len(&self) -> usize {
        self.mapping.len()
    }

    /// The address of `bytes` bytes at offset `at`. Panics if they are not within the block.
    fn place(&self, at: usize, bytes: usize) -> *mut u8 {
        let end = at.checked_add(bytes);
        assert!(end.is_some_and(|end| end <= self.len()), "{at} + {bytes} is beyond the block");
        // SAFETY: the place is within the mapping, as the assertion has established.
        unsafe { self.mapping.as_mut_ptr().add(at) }
    }

    /// The bytes at that place.
    ///
    /// # Safety
    ///
    /// No process writes to these bytes as long as the slice lives.
    pub(crate) unsafe fn bytes(&self, at: usize, bytes: usize) -> &[u8] {
        // SAFETY: the bytes are mapped as long as `self` lives; the caller promises the rest.
        unsafe { std::slice::from_raw_parts(self.place(at, bytes), bytes) }
    }

    /// The bytes at that place, to be written to.
    ///
    /// # Safety
    ///
    /// No other thread or process uses these bytes as long as the slice lives.
    #[expect(clippy::mut_from_ref, reason = "to whom which bytes belong is not told by the block")]
    pub(super) unsafe fn bytes_mut(&self, at: usize, bytes: usize) -> &mut [u8] {
        // SAFETY: the bytes are mapped as long as `self` lives; the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.place(at, bytes), bytes) }
    }

    /// Copies bytes to which another process may write meanwhile.
    pub(super) fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
        let place = self.place(at, to.len()).cast::<MaybeUninit<u8>>();
        // SAFETY: the bytes are mapped as long as `self` lives, any values are valid, and there is
        // no reference to them.
        unsafe { place.copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
    }

    /// Gives the memory of these bytes back to the system. From then on, the bytes are zeros.
    pub(crate) fn give_back(&self, at: usize, bytes: usize) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Some((file, _)) = self.own_file() {
            let _ = rustix::fs::fallocate(file, flags, at as u64, bytes as u64);
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // If the descriptor was closed, its number may now stand for another file, which must not
        // be closed here.
        if self.own_file().is_none() {
            std::mem::forget(self.file.take());
        }
    }
}

/// Names the limit because of which so many bytes cannot be mapped.
fn no_addresses(bytes: usize, error: io::Error) -> io::Error {
    let hint = match Errno::from_io_error(&error) {
        Some(Errno::NOMEM) => "`ulimit -v` limits the addresses of a process",
        Some(Errno::AGAIN) => "the program locks its memory (mlockall), which `ulimit -l` limits",
        _ => return error,
    };
    io::Error::other(format!("{bytes} bytes of addresses are refused: {hint}"))
}

impl Block {
    /// Calls [`give_back`](Self::give_back) for these bytes, if there are any.
    pub(super) fn give_back_if_any(&self, idle: Option<Range<usize>>) {
        if let Some(idle) = idle {
            self.give_back(idle.start, idle.len());
        }
    }
}

impl Memory for Block {
    type Count = AtomicU64;
    type Word = AtomicU32;

    fn count(&self, n: usize) -> &AtomicU64 {
        // SAFETY: the place is mapped as long as `self` lives, and aligned, since a mapping begins
        // with a page. It is readable and writable, since blocks that are opened for reading have
        // no counts or words. Any bytes are valid, and all sides use the place through this
        // function, hence atomically.
        unsafe { AtomicU64::from_ptr(self.place(n * CELL, size_of::<AtomicU64>()).cast()) }
    }

    fn word(&self, n: usize) -> &AtomicU32 {
        // SAFETY: as in `count`.
        unsafe { AtomicU32::from_ptr(self.place(n * CELL, size_of::<AtomicU32>()).cast()) }
    }

    fn word_at(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()), "{at} is no place for a word");
        // SAFETY: as in `count`; the place is aligned, as the assertion has established. The
        // protocol does not use a place as bytes and as a word at the same time. Only a `LaneView`
        // with an old count may load a word while the worker writes bytes there: any value is
        // valid, and `MasterEnd::poll` looks again.
        unsafe { AtomicU32::from_ptr(self.place(at, size_of::<AtomicU32>()).cast()) }
    }

    unsafe fn put(&self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: the place has room for these bytes, and nobody else uses it, as the caller
        // promises.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    unsafe fn get(&self, at: usize, bytes: &mut [u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: as in `put`; a side that breaks the protocol can change the bytes, of which any
        // are valid.
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
        // A signal, or a word with another value, ends the sleep early, which does no harm.
        let _ = futex::wait(self.word(n), futex::Flags::empty(), value, timeout.as_ref());
    }

    fn wake(&self, n: usize) {
        let _ = futex::wake(self.word(n), futex::Flags::empty(), 1);
    }
}
