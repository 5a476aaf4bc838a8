//! A block of anonymous shared memory.
//!
//! The master makes it, and each worker gets a descriptor of it when it starts. So no name has to be found
//! or removed, and no other program inherits it.
//!
//! What is reserved at the beginning are addresses alone, more than are ever used. The file behind them [grows](Block::grow)
//! with what is used, and never shrinks: so a limit on the size of files is met only by what needs more, and nothing that
//! is not needed gets memory where a program locks all that it has (mlockall). A core dump would write all of it, pages
//! that were never used included, so blocks are left out of dumps.

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

/// What lies between two counts, so that none shares a line of the cache with another.
pub(crate) const CELL: usize = 128;

pub(crate) struct Block {
    mapping: MmapRaw,
    /// By which others open it, and room is given back.
    file: Option<File>,
    /// How long the file is known to be; what is mapped behind its end cannot be used. It only says what is true already,
    /// since the file never shrinks: hence `Relaxed`.
    length: AtomicUsize,
    /// Which file it is: a program or a task may close any descriptor, and open something else under its number.
    inode: u64,
}

/// What a process may do with a block that another has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Block {
    /// Makes a block of zeros, of `length` bytes, which can become as long as `reserved`.
    pub(crate) fn create(name: &str, length: usize, reserved: usize) -> io::Result<Self> {
        check_file(length)?;
        keep_standard_descriptors();
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create(name, flags)?);
        file.set_len(length as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK)?;
        // What this process forks may still drop what lies there, or read it; it does not write to it.
        let mapping = MmapOptions::new().len(reserved).no_reserve_swap().map_raw(&file);
        let mapping = mapping.map_err(|error| no_addresses(reserved, error))?;
        mapping.advise(Advice::DontDump)?;
        let inode = file.metadata()?.ino();
        Ok(Self { mapping, file: Some(file), length: AtomicUsize::new(length), inode })
    }

    /// Opens a block that another process has made, of which so many bytes are reserved.
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

    /// The file as long as its descriptor is open, and how long it is.
    fn own_file(&self) -> Option<(&File, usize)> {
        let file = self.file.as_ref()?;
        let metadata = file.metadata().ok()?;
        // Blocks have no name.
        let is_own = (metadata.ino(), metadata.nlink()) == (self.inode, 0);
        is_own.then(|| (file, usize::try_from(metadata.len()).unwrap_or(usize::MAX)))
    }

    /// Makes the file at least so long; says whether it is. If it has to grow, it does to twice its length if it may.
    pub(crate) fn grow(&self, to: usize) -> bool {
        if self.reaches(to) {
            return true;
        }
        let Some((file, _)) = self.own_file() else { return false };
        // Who makes a longer file is killed.
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

    /// Whether the file is so long.
    pub(crate) fn reaches(&self, end: usize) -> bool {
        if end <= self.length.load(Ordering::Relaxed) {
            return true;
        }
        // Another process may have made it longer.
        let Some((_, length)) = self.own_file() else { return false };
        let length = length.min(self.len());
        self.length.fetch_max(length, Ordering::Relaxed);
        end <= length
    }

    /// A copy of its descriptor, by which a worker opens it.
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

    /// Copies bytes that others may write to meanwhile.
    pub(super) fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
        let place = self.place(at, to.len()).cast::<MaybeUninit<u8>>();
        // SAFETY: they are mapped as long as `self` lives, and any are valid; there is no reference to them.
        unsafe { place.copy_to_nonoverlapping(to.as_mut_ptr(), to.len()) };
    }

    /// Gives the memory of these bytes back to the system; they are zeros from then on.
    pub(crate) fn give_back(&self, at: usize, bytes: usize) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Some((file, _)) = self.own_file() {
            let _ = rustix::fs::fallocate(file, flags, at as u64, bytes as u64);
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // What somebody has opened under its number is not to be closed here.
        if self.own_file().is_none() {
            std::mem::forget(self.file.take());
        }
    }
}

/// What there is to say where so many bytes cannot be mapped.
fn no_addresses(bytes: usize, error: io::Error) -> io::Error {
    let hint = match Errno::from_io_error(&error) {
        Some(Errno::NOMEM) => "`ulimit -v` limits the addresses of a process",
        Some(Errno::AGAIN) => "the program locks its memory (mlockall), which `ulimit -l` limits",
        _ => return error,
    };
    io::Error::other(format!("{bytes} bytes of addresses are refused: {hint}"))
}

impl Block {
    /// As [`give_back`](Self::give_back), of what is idle.
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
        // SAFETY: the place is mapped as long as `self` lives, readable and writable, and aligned, since a mapping
        // begins with a page; any bytes are valid; and all sides use it through this function, hence atomically.
        unsafe { AtomicU64::from_ptr(self.place(n * CELL, size_of::<AtomicU64>()).cast()) }
    }

    fn word(&self, n: usize) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(self.place(n * CELL, size_of::<AtomicU32>()).cast()) }
    }

    fn word_at(&self, at: usize) -> &AtomicU32 {
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
