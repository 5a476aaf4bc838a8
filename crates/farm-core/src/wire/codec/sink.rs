//! Where encoded bytes go, as the serializer has it at hand.

use std::ptr;

use super::error::{Cause, Result};

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

    /// How many bytes are written, if it was not taken and was not full.
    #[inline]
    pub(super) fn position(&self) -> usize {
        self.room.length
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) -> Result<()> {
        self.extend(&[byte])
    }

    #[inline]
    pub(super) fn extend(&mut self, more: &[u8]) -> Result<()> {
        if self.room.capacity - self.room.length < more.len() {
            *self = with_room_for(more.len(), std::mem::take(self));
            if self.room.capacity - self.room.length < more.len() {
                return Err(Cause::Full.into());
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

    /// Seven bits to a byte, the lowest first; the highest bit says that more follow.
    #[inline]
    pub(super) fn varint(&mut self, mut bits: u64) -> Result<()> {
        while bits >= 0x80 {
            self.push(bits as u8 | 0x80)?;
            bits >>= 7;
        }
        self.push(bits as u8)
    }

    /// The same for what may be longer.
    pub(super) fn long_varint(&mut self, mut bits: u128) -> Result<()> {
        while bits >= 0x80 {
            self.push(bits as u8 | 0x80)?;
            bits >>= 7;
        }
        self.push(bits as u8)
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

/// Small numbers of either sign as small numbers.
#[inline]
pub(super) fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// The same for what may be longer.
#[inline]
pub(super) fn long_zigzag(v: i128) -> u128 {
    ((v << 1) ^ (v >> 127)) as u128
}
