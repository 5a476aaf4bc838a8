//! Where the master puts long arguments: one block for all workers of a pool, which they can only read. An argument is
//! there once, whoever runs its task, and stays until the task has its outcome.

use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::{fmt, io};

use farm_core::Payload;
use parking_lot::Mutex;

use super::block::Block;
use super::extents::Extents;
use super::memory::Memory;
use super::record::Beside;
use crate::fork::Here;

pub(crate) struct Store {
    block: Block,
    extents: Mutex<Extents>,
    here: Here,
}

/// A long argument.
struct Stored {
    store: Arc<Store>,
    room: Range<usize>,
    bytes: usize,
}

impl Store {
    pub(crate) fn new(bytes: usize) -> io::Result<Arc<Self>> {
        let block = Block::create("farm-arguments", bytes)?;
        let extents = Mutex::new(Extents::new(0..bytes));
        Ok(Arc::new(Self { block, extents, here: Here::new()? }))
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.block.descriptor()
    }

    /// Puts an argument in, if there is room.
    pub(crate) fn put(self: &Arc<Self>, argument: &[u8]) -> Option<Payload> {
        let room = self.extents.lock().take(argument.len())?;
        // SAFETY: this room is nobody else's now, and no worker has been told of it.
        unsafe { self.block.put(room.start, argument) };
        let store = self.clone();
        Some(Payload::Mapped(Arc::new(Stored { store, room, bytes: argument.len() })))
    }

    /// Where an argument lies, if it is one that was put in.
    pub(super) fn find(&self, argument: &[u8]) -> Option<Beside> {
        let at = argument.as_ptr().addr().checked_sub(self.block.address())?;
        let end = at.checked_add(argument.len())?;
        (end <= self.block.len()).then_some(Beside { at: at as u64, bytes: argument.len() as u64 })
    }
}

impl AsRef<[u8]> for Stored {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the room belongs to `self`, which was written before it was made; workers cannot write to it.
        unsafe { self.store.block.bytes(self.room.start, self.bytes) }
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // A fork of the master's process gives nothing back.
        if !self.store.here.is_here() {
            return;
        }
        let mut extents = self.store.extents.lock();
        if let Some(idle) = extents.put_back(self.room.clone()) {
            // Before anybody else can be given it.
            self.store.block.give_back(idle.start, idle.len());
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({} bytes)", self.block.len())
    }
}
