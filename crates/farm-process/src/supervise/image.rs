//! How workers know that their master has become another program (exec), which keeps its process id and its start time.
//!
//! What ends with the program is its memory. So it holds a lock by a mapping, which nothing else ends: it has no descriptor
//! that could be closed, and a fork does not have it. Workers get another descriptor of the file, by
//! which they ask.

use std::fs::File;
use std::io;
use std::mem::forget;
use std::os::fd::{AsRawFd, OwnedFd};

use memmap2::{Advice, MmapOptions, MmapRaw};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use rustix::io::Errno;

use crate::os::descriptor::Own;

/// What this program holds as long as it is this program.
struct Image {
    /// A fork is another.
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
        // Nothing is at that address: what counts is that the open file is held.
        let held = MmapOptions::new().len(1).map_raw_read_only(&file)?;
        held.advise(Advice::DontFork)?;
        held.advise(Advice::DontDump)?;
        let asked = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        Ok(Self { process: std::process::id(), _held: held, asked: Own::new(asked)? })
    }
}

/// A copy of the descriptor by which workers ask. Where there is none, they do without.
pub(crate) fn descriptor() -> Option<OwnedFd> {
    let mut image = IMAGE.lock();
    if image.as_ref().is_none_or(|image| image.process != std::process::id()) {
        // What is inherited by a fork is not mapped there.
        forget(image.take());
        *image = Image::new().ok();
    }
    Some(image.as_ref()?.asked.get()?.try_clone().ok()?.into())
}

/// The master's, in a worker.
pub(crate) struct MastersImage(Own<File>);

impl MastersImage {
    /// `None` where nothing is locked there.
    pub(crate) fn new(file: OwnedFd) -> Option<Self> {
        let image = Self(Own::new(file.into()).ok()?);
        image.is_held().then_some(image)
    }

    fn is_held(&self) -> bool {
        let asked = self.0.get().map(|file| flock(file, FlockOperation::NonBlockingLockShared));
        asked == Some(Err(Errno::WOULDBLOCK))
    }

    /// Whether it is proven that the master is that program no more.
    pub(crate) fn is_gone(&self) -> bool {
        let asked = self.0.get().map(|file| flock(file, FlockOperation::NonBlockingLockShared));
        asked == Some(Ok(()))
    }
}
