//! The arena of a pool: one block in which the master puts long arguments. Workers can only read
//! it. An argument lies there once, whichever worker runs its task, and stays until the task has
//! its outcome.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use farm_core::backend::{ArgumentArena, Payload, Placed};
use farm_core::codec::OutputBuffer;
use farm_os::limits::check_file;
use parking_lot::{Condvar, Mutex};

use super::block::Block;
use super::free_list::FreeList;
use super::record::MOST_INLINE;
use farm_os::fork::Here;

/// How often a thread that waits for room checks whether it should go on waiting.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) struct Arena {
    block: Block,
    free_list: Mutex<FreeList>,
    /// Notified when room has been given back.
    has_room: Condvar,
    here: Here,
}

/// The room of a long argument that is written, or is being written.
struct Allocation {
    arena: Arc<Arena>,
    room: Range<usize>,
    bytes: usize,
}

/// The output buffer for one argument: a long argument is encoded in the arena.
pub(crate) struct ArenaWriter<'a> {
    arena: &'a Arc<Arena>,
    room: Option<Allocation>,
}

impl Arena {
    pub(crate) fn new(bytes: usize) -> io::Result<Arc<Self>> {
        let block = Block::create("farm-arguments", 0, bytes)?;
        let free_list = Mutex::new(FreeList::new(0..bytes));
        Ok(Arc::new(Self { block, free_list, has_room: Condvar::new(), here: Here::new()? }))
    }

    /// The block of the arena. Workers get a descriptor of it.
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    /// An output buffer for an argument that is about to be encoded.
    pub(crate) fn writer(self: &Arc<Self>) -> ArenaWriter<'_> {
        ArenaWriter { arena: self, room: None }
    }

    /// Whether an argument of so many bytes belongs in the arena.
    pub(crate) fn wants(&self, bytes: usize) -> bool {
        bytes > MOST_INLINE
    }

    /// Puts an argument into the arena. While there is no room, waits for other arguments to give
    /// theirs back. Returns `None` if there can never be enough room, or once `is_over` returns
    /// `true`, which is called from time to time.
    pub(crate) fn put_in_time(
        self: &Arc<Self>,
        argument: &[u8],
        is_over: impl Fn() -> bool,
    ) -> Option<Payload> {
        loop {
            if let Some(allocation) = self.put(argument) {
                return Some(allocation);
            }
            // The limit on the size of files may have been lowered meanwhile.
            let could_take =
                argument.len() <= self.block.len() && check_file(argument.len()).is_ok();
            if !could_take || is_over() {
                return None;
            }
            let mut free_list = self.free_list.lock();
            // Nobody notifies this thread of room that was given back after `put` had failed and
            // before this wait. Hence the timeout.
            self.has_room.wait_for(&mut free_list, LOOK);
        }
    }

    /// Gives the memory of all free ranges back to the system.
    pub(crate) fn give_back_idle(&self) {
        let mut free_list = self.free_list.lock();
        for idle in free_list.all_idle() {
            self.block.give_back(idle.start, idle.len());
        }
    }

    /// Puts an argument into the arena, if there is room.
    pub(crate) fn put(self: &Arc<Self>, argument: &[u8]) -> Option<Payload> {
        let mut writer = self.writer();
        writer.room(0, argument.len())?.get_mut(..argument.len())?.copy_from_slice(argument);
        Some(writer.commit(argument.len()))
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<Allocation> {
        let room = self.free_list.lock().take_of(&self.block, bytes)?;
        Some(Allocation { arena: self.clone(), room, bytes: 0 })
    }
}

impl Allocation {
    /// All bytes of the room.
    fn room(&mut self) -> &mut [u8] {
        // SAFETY: the room belongs to `self`, and no worker is told of it before `commit`.
        unsafe { self.arena.block.bytes_mut(self.room.start, self.room.len()) }
    }
}

impl OutputBuffer for ArenaWriter<'_> {
    fn shortest(&self) -> usize {
        MOST_INLINE
    }

    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
        let arena = self.arena;
        let allocation = match &mut self.room {
            Some(allocation) => allocation,
            none => none.insert(arena.take(bytes)?),
        };
        let is_long_enough =
            arena.free_list.lock().extend_in(&arena.block, &mut allocation.room, bytes);
        if !is_long_enough {
            let mut longer = arena.take(bytes)?;
            longer.room().get_mut(..used)?.copy_from_slice(allocation.room().get(..used)?);
            *allocation = longer;
        }
        Some(allocation.room())
    }
}

impl ArgumentArena for ArenaWriter<'_> {
    fn commit(&mut self, bytes: usize) -> Payload {
        let Some(mut allocation) = self.room.take() else { return Vec::new().into() };
        let Allocation { arena, room, .. } = &mut allocation;
        let mut free_list = arena.free_list.lock();
        arena.block.give_back_if_any(free_list.shorten(room, bytes));
        drop(free_list);
        assert!(bytes <= allocation.room.len(), "no more is kept than there was room for");
        allocation.bytes = bytes;
        Payload::Placed(Arc::new(allocation))
    }
}

impl Placed for Allocation {
    fn bytes(&self) -> &[u8] {
        // SAFETY: the room belongs to `self`, and nobody writes to it after `commit` has made the
        // payload; workers cannot write to it.
        unsafe { self.arena.block.bytes(self.room.start, self.bytes) }
    }

    fn offset(&self) -> u64 {
        self.room.start as u64
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // A fork of the master does not give the room back.
        if !self.arena.here.is_here() {
            return;
        }
        let mut free_list = self.arena.free_list.lock();
        // The memory is given back under the lock, before another thread can take the room.
        self.arena.block.give_back_if_any(free_list.put_back(self.room.clone()));
        self.arena.has_room.notify_all();
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arena({} bytes)", self.block.len())
    }
}
