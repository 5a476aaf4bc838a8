//! Tells workers that their master has become another program (exec), which keeps its process id
//! and its start time.
//!
//! Only the memory of a program ends with it in this case. So the master holds a file lock by a
//! mapping, which nothing else ends: the lock has no descriptor that could be closed, and a fork
//! does not inherit the mapping. Workers get another descriptor of the file, by which they ask
//! whether the lock is held.

use std::fs::File;
use std::io;
use std::mem::forget;
use std::os::fd::{AsRawFd, OwnedFd};

use memmap2::{Advice, MmapOptions, MmapRaw};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use rustix::io::Errno;

use crate::os::descriptor::Own;

/// The lock that this program holds as long as it is this program.
struct Image {
    /// The process that has made the lock. In a fork it is another one.
    process: u32,
    _held: MmapRaw,
    asked: Own<File>,
}

static IMAGE: Mutex<Option<Image>> = Mutex::new(None);

impl Image {
    fn new() -> io::Result<Self> {
        farm_os::limits::keep_standard_descriptors();
        let file = File::from(memfd_create("farm-image", MemfdFlags::CLOEXEC)?);
        file.try_lock()?;
        // The mapped address has no memory behind it: the mapping is there to keep the open file,
        // and so its lock.
        let held = MmapOptions::new().len(1).map_raw_read_only(&file)?;
        held.advise(Advice::DontFork)?;
        held.advise(Advice::DontDump)?;
        let asked = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        Ok(Self { process: std::process::id(), _held: held, asked: Own::new(asked)? })
    }
}

/// A copy of the descriptor by which workers ask. If the system refuses one, they do without it.
pub(crate) fn descriptor() -> Option<OwnedFd> {
    let mut image = IMAGE.lock();
    if image.as_ref().is_none_or(|image| image.process != std::process::id()) {
        // A fork inherits this value, but the memory is not mapped in it, so it must not be
        // unmapped there.
        forget(image.take());
        *image = Image::new().ok();
    }
    Some(image.as_ref()?.asked.get()?.try_clone().ok()?.into())
}

/// The image of the master, in a worker.
pub(crate) struct MastersImage(Own<File>);

impl MastersImage {
    /// `None` if nothing holds a lock on the file.
    pub(crate) fn new(file: OwnedFd) -> Option<Self> {
        let image = Self(Own::new(file.into()).ok()?);
        image.is_held().then_some(image)
    }

    fn is_held(&self) -> bool {
        let asked = self.0.get().map(|file| flock(file, FlockOperation::NonBlockingLockShared));
        asked == Some(Err(Errno::WOULDBLOCK))
    }

    /// Whether it is proven that the master is not that program any more.
    pub(crate) fn is_gone(&self) -> bool {
        let asked = self.0.get().map(|file| flock(file, FlockOperation::NonBlockingLockShared));
        asked == Some(Ok(()))
    }
}
