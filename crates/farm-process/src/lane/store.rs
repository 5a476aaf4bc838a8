//! Where the master puts long arguments: one block for all workers of a pool, which they can only read. An argument is
//! there once, whoever runs its task, and stays until the task has its outcome.

use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::{fmt, io};

use farm_core::codec::Shelf;
use farm_core::{Depot, Payload};
use parking_lot::Mutex;

use super::MOST_INLINE;
use super::block::Block;
use super::extents::Extents;
use super::record::Beside;
use crate::fork::Here;

pub(crate) struct Store {
    block: Block,
    extents: Mutex<Extents>,
    here: Here,
}

/// A long argument, or room for one.
struct Stored {
    store: Arc<Store>,
    room: Range<usize>,
    bytes: usize,
}

/// Where an argument is encoded if it becomes long.
pub(crate) struct Vacancy<'a> {
    store: &'a Arc<Store>,
    room: Option<Stored>,
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

    /// Room for an argument that is going to be encoded.
    pub(crate) fn vacancy(self: &Arc<Self>) -> Vacancy<'_> {
        Vacancy { store: self, room: None }
    }

    /// Puts an argument in, if there is room.
    pub(crate) fn put(self: &Arc<Self>, argument: &[u8]) -> Option<Payload> {
        let mut vacancy = self.vacancy();
        vacancy.room(0, argument.len())?.get_mut(..argument.len())?.copy_from_slice(argument);
        Some(vacancy.keep(argument.len()))
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Stored> {
        let room = self.extents.lock().take(bytes)?;
        Some(Stored { store: self.clone(), room, bytes: 0 })
    }

    /// Where an argument lies, if it is one that was put in.
    pub(super) fn find(&self, argument: &[u8]) -> Option<Beside> {
        let at = argument.as_ptr().addr().checked_sub(self.block.address())?;
        let end = at.checked_add(argument.len())?;
        (end <= self.block.len()).then_some(Beside { at: at as u64, bytes: argument.len() as u64 })
    }
}

impl Stored {
    /// All of its room.
    fn room(&mut self) -> &mut [u8] {
        // SAFETY: the room belongs to `self`, and no worker is told of it before it is kept.
        unsafe { self.store.block.bytes_mut(self.room.start, self.room.len()) }
    }
}

impl Shelf for Vacancy<'_> {
    fn shortest(&self) -> usize {
        MOST_INLINE
    }

    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
        let store = self.store;
        let stored = match &mut self.room {
            Some(stored) => stored,
            none => none.insert(store.take(bytes)?),
        };
        let is_long_enough = store.extents.lock().extend(&mut stored.room, bytes);
        if !is_long_enough {
            let mut longer = store.take(bytes)?;
            longer.room().get_mut(..used)?.copy_from_slice(stored.room().get(..used)?);
            *stored = longer;
        }
        Some(stored.room())
    }
}

impl Depot for Vacancy<'_> {
    fn keep(&mut self, bytes: usize) -> Payload {
        let Some(mut stored) = self.room.take() else { return Vec::new().into() };
        let Stored { store, room, .. } = &mut stored;
        let mut extents = store.extents.lock();
        if let Some(idle) = extents.shorten(room, bytes) {
            store.block.give_back(idle.start, idle.len());
        }
        drop(extents);
        assert!(bytes <= stored.room.len(), "no more is kept than there was room for");
        stored.bytes = bytes;
        Payload::Mapped(Arc::new(stored))
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
