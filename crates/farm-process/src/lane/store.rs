//! Where the master puts long arguments: one block for all workers of a pool, which they can only read. An argument is
//! there once, whoever runs its task, and stays until the task has its outcome.

use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use farm_core::codec::Shelf;
use farm_core::system::check_file;
use farm_core::{Depot, Payload};
use parking_lot::{Condvar, Mutex};

use super::MOST_INLINE;
use super::block::Block;
use super::extents::Extents;
use super::record::Beside;
use farm_core::fork::Here;

/// How often who waits for room looks whether it should go on waiting.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Store {
    block: Block,
    extents: Mutex<Extents>,
    /// Signalled when something has been given back.
    has_room: Condvar,
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
        let block = Block::create("farm-arguments", 0, bytes)?;
        let extents = Mutex::new(Extents::new(0..bytes));
        Ok(Arc::new(Self { block, extents, has_room: Condvar::new(), here: Here::new()? }))
    }

    pub(crate) fn way(&self) -> (RawFd, usize) {
        self.block.way()
    }

    /// Room for an argument that is going to be encoded.
    pub(crate) fn vacancy(self: &Arc<Self>) -> Vacancy<'_> {
        Vacancy { store: self, room: None }
    }

    /// Puts an argument in, and waits for room while others take it up. `None` if there is never enough, or once `is_over`,
    /// which is asked now and then.
    pub(crate) fn put_in_time(
        self: &Arc<Self>,
        argument: &[u8],
        is_over: impl Fn() -> bool,
    ) -> Option<Payload> {
        loop {
            if let Some(stored) = self.put(argument) {
                return Some(stored);
            }
            // A limit of the system may be lower by now.
            let could_take =
                argument.len() <= self.block.len() && check_file(argument.len()).is_ok();
            if !could_take || is_over() {
                return None;
            }
            let mut extents = self.extents.lock();
            // What was given back since this looked is told by nobody again.
            self.has_room.wait_for(&mut extents, LOOK);
        }
    }

    /// Gives the memory of what is not in use back to the system.
    pub(crate) fn give_back_idle(&self) {
        let mut extents = self.extents.lock();
        for idle in extents.all_idle() {
            self.block.give_back(idle.start, idle.len());
        }
    }

    /// Puts an argument in, if there is room.
    pub(crate) fn put(self: &Arc<Self>, argument: &[u8]) -> Option<Payload> {
        let mut vacancy = self.vacancy();
        vacancy.room(0, argument.len())?.get_mut(..argument.len())?.copy_from_slice(argument);
        Some(vacancy.keep(argument.len()))
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Stored> {
        let room = self.extents.lock().take_of(&self.block, bytes)?;
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
        let is_long_enough = store.extents.lock().extend_in(&store.block, &mut stored.room, bytes);
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
        store.block.give_back_if_any(extents.shorten(room, bytes));
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
        // Before anybody else can be given it.
        self.store.block.give_back_if_any(extents.put_back(self.room.clone()));
        self.store.has_room.notify_all();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({} bytes)", self.block.len())
    }
}
