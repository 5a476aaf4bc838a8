//! Writes encoded bytes one after the other, for the serializer.

use std::ptr;

use super::error::{Cause, Result};

/// Memory that a sink writes to, and that it asks to grow.
///
/// # Safety
///
/// The room that it returns can be written to and belongs to nobody else, until other room is asked
/// for or the memory is no longer borrowed.
pub(super) unsafe trait Memory {
    /// The current room; `None` if the bytes written before are lost.
    fn room(&mut self) -> Option<Room>;

    /// Room that begins with the first `used` bytes of the current room and has space for `more`
    /// further bytes; `None` if there is none. The first `used` bytes must have been written.
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

/// Room to which bytes are written one after the other.
///
/// It grows out of line, by a function that takes the sink by value and returns it. If a reference
/// to the sink were passed to a function that is not inlined, its length would have to be kept in
/// memory, and in a loop each item would wait for the one before it. For the same reason
/// [`Vec::extend_from_slice`] is not used.
#[derive(Default)]
pub(super) struct Sink<'m> {
    // As the memory has returned it, except for the length, which never exceeds the capacity.
    room: Room,
    /// `None` for a sink whose memory was taken, or was full. Such a sink has no room either, and
    /// refuses what it is given.
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

    /// The number of bytes that are written, those that were there before included; `None` if the
    /// sink was taken and not given back, or was full.
    #[inline]
    pub(super) fn length(self) -> Option<usize> {
        self.memory.is_some().then_some(self.room.length)
    }

    /// The number of bytes that are written, if the sink was not taken and was not full; else zero.
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
        // SAFETY: there is room for so many bytes behind the length, as was just checked. The room
        // belongs to the memory, which is borrowed and was not asked for other room since, so
        // nobody else uses it.
        unsafe {
            let end = self.room.start.add(self.room.length);
            ptr::copy_nonoverlapping(more.as_ptr(), end, more.len());
        }
        self.room.length += more.len();
        Ok(())
    }

    /// Writes a number with seven bits to a byte, the lowest first. The highest bit of a byte says
    /// that more bytes follow.
    #[inline]
    pub(super) fn varint(&mut self, mut bits: u64) -> Result<()> {
        while bits >= 0x80 {
            self.push(bits as u8 | 0x80)?;
            bits >>= 7;
        }
        self.push(bits as u8)
    }

    /// As [`varint`](Self::varint), for up to 128 bits.
    pub(super) fn long_varint(&mut self, mut bits: u128) -> Result<()> {
        while bits >= 0x80 {
            self.push(bits as u8 | 0x80)?;
            bits >>= 7;
        }
        self.push(bits as u8)
    }
}

/// Returns the sink with room for `more` bytes, or an empty sink if there is none.
#[cold]
#[inline(never)]
fn with_room_for(more: usize, sink: Sink<'_>) -> Sink<'_> {
    let Some(memory) = sink.memory else { return Sink::default() };
    match memory.grow(sink.room.length, more) {
        Some(room) => Sink { room, memory: Some(memory) },
        None => Sink::default(),
    }
}

/// Maps signed to unsigned numbers so that numbers near zero stay small: 0, -1, 1, -2 become 0, 1,
/// 2, 3.
#[inline]
pub(super) fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

/// As [`zigzag`], for 128 bits.
#[inline]
pub(super) fn long_zigzag(v: i128) -> u128 {
    ((v << 1) ^ (v >> 127)) as u128
}
