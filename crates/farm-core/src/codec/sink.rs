//! Where encoded bytes go, as the serializer has it at hand.

use std::ptr;

use postcard::ser_flavors::Flavor;
use postcard::{Error, Result};

/// What a sink writes to, and has grown.
///
/// # Safety
///
/// The room that it gives can be written to, and is nobody else's, until it is asked for other room or is no longer
/// borrowed.
pub(super) unsafe trait Memory {
    /// The room that there is; `None` if what was written before is lost.
    fn room(&mut self) -> Option<Room>;

    /// Room with the first `used` bytes of what there is, and for so many `more`; `None` if there is none.
    fn grow(&mut self, used: usize, more: usize) -> Option<Room>;
}

/// Room for `capacity` bytes from `start` on, of which `length` are written.
pub(super) struct Room {
    pub(super) start: *mut u8,
    pub(super) length: usize,
    pub(super) capacity: usize,
}

impl Default for Room {
    #[inline]
    fn default() -> Self {
        Self { start: ptr::dangling_mut(), length: 0, capacity: 0 }
    }
}

/// Room that bytes are written to one after the other.
///
/// It grows out of line and by value. Were a reference to it handed to a function that is not inlined, then its
/// length would have to be kept in memory, and in a loop each item would wait for the one before it. For the same
/// reason [`Vec::extend_from_slice`] is out of the way.
#[derive(Default)]
pub(super) struct Sink<'m> {
    // As the memory has given it, but for the length, which is never more than the capacity.
    room: Room,
    /// None for what is left where a sink was taken, or was full. It has no room either, and refuses what it is given.
    memory: Option<&'m mut dyn Memory>,
}

impl<'m> Sink<'m> {
    #[inline]
    pub(super) fn new<M: Memory>(memory: &'m mut M) -> Self {
        match memory.room() {
            Some(room) => Self { room, memory: Some(memory) },
            None => Self::default(),
        }
    }

    /// How many bytes are written; `None` if it was taken and not given back, or was full.
    #[inline]
    pub(super) fn length(self) -> Option<usize> {
        self.memory.is_some().then_some(self.room.length)
    }
}

#[cold]
#[inline(never)]
fn with_room_for(more: usize, sink: Sink<'_>) -> Sink<'_> {
    let Some(memory) = sink.memory else { return Sink::default() };
    match memory.grow(sink.room.length, more) {
        Some(room) => Sink { room, memory: Some(memory) },
        None => Sink::default(),
    }
}

impl Flavor for Sink<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, more: &[u8]) -> Result<()> {
        if self.room.capacity - self.room.length < more.len() {
            *self = with_room_for(more.len(), std::mem::take(self));
            if self.room.capacity - self.room.length < more.len() {
                return Err(Error::SerializeBufferFull);
            }
        }
        // SAFETY: there is room for so many bytes behind the length, as has just been seen. It is the memory's, which is
        // borrowed and was not asked for other room since, and therefore nobody else's.
        unsafe {
            let end = self.room.start.add(self.room.length);
            ptr::copy_nonoverlapping(more.as_ptr(), end, more.len());
        }
        self.room.length += more.len();
        Ok(())
    }

    #[inline]
    fn finalize(self) -> Result<()> {
        Ok(())
    }
}
