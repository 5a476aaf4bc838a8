//! Encoded bytes, on the heap or in memory of a transport. A long value is encoded directly where
//! its receiver reads it, so that it is written once.

use std::fmt;

use super::sink::{Memory, Room};

/// Memory of a transport for one long value, which is encoded there. Its length is not known
/// beforehand, so the memory grows with it.
pub trait OutputBuffer: Send {
    /// The length in bytes up to which a value is to stay on the heap.
    fn shortest(&self) -> usize;

    /// Returns room for at least `bytes` bytes. It begins with the first `used` bytes of the room
    /// that was returned last, which may have moved.
    ///
    /// Returns `None` if there is not so much. The room that was returned last is then as it was.
    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]>;
}

/// Bytes that are being encoded. They begin on the heap, and move to the buffer when they become
/// longer than its [`shortest`](OutputBuffer::shortest), if there is a buffer. They move back to
/// the heap if the buffer has no more room.
#[derive(Default)]
pub struct Output<'s> {
    heap: Vec<u8>,
    buffer: Option<&'s mut dyn OutputBuffer>,
    /// The number of bytes in the buffer, if they are there. The heap is then empty.
    buffered: Option<usize>,
}

/// Where the encoded bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Encoded {
    /// These, on the heap.
    Heap(Vec<u8>),
    /// So many, at the beginning of the room that the buffer has returned last.
    Buffered(usize),
}

/// Room that is requested beyond the end of a value, for what commonly follows it. Source: an
/// argument is followed by the length of its grants, 4 bytes, and by the grants
/// (`Grants::append_to`).
const BEHIND: usize = 64;

impl<'s> Output<'s> {
    /// Begins with what `heap` holds, and appends to that.
    #[inline]
    pub fn new(heap: Vec<u8>, buffer: Option<&'s mut dyn OutputBuffer>) -> Self {
        Self { heap, buffer, buffered: None }
    }

    /// Returns where the bytes are.
    #[inline]
    pub fn finish(self) -> Encoded {
        self.buffered.map_or(Encoded::Heap(self.heap), Encoded::Buffered)
    }

    /// Returns the bytes of an output without a buffer.
    #[inline]
    pub(crate) fn into_heap(self) -> Vec<u8> {
        self.heap
    }

    /// The bytes of an output without a buffer.
    #[inline]
    pub(crate) fn heap(&self) -> &[u8] {
        &self.heap
    }

    /// The bytes of an output without a buffer, to be changed.
    #[inline]
    pub(crate) fn heap_mut(&mut self) -> &mut [u8] {
        &mut self.heap
    }

    /// Appends bytes to an output without a buffer.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.heap.extend_from_slice(bytes);
    }

    /// The number of bytes, wherever they are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffered.unwrap_or(self.heap.len())
    }

    /// Removes all but the first `bytes` bytes.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        match &mut self.buffered {
            Some(buffered) => *buffered = bytes.min(*buffered),
            None => self.heap.truncate(bytes),
        }
    }

    /// Removes all bytes. The next value begins on the heap.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.buffered = None;
    }

    /// Notes that there are `length` bytes, those that were there before included.
    ///
    /// # Safety
    ///
    /// So many bytes are written in the room that was returned last.
    #[inline]
    pub(super) unsafe fn advance(&mut self, length: usize) {
        match &mut self.buffered {
            Some(buffered) => *buffered = length,
            // SAFETY: as the caller promises.
            None => unsafe { self.heap.set_len(length) },
        }
    }

    #[inline]
    fn on_heap(&mut self) -> Room {
        let length = self.heap.len();
        // A value that becomes longer than `shortest` is to ask for more room, and so move to the
        // buffer.
        let most = self.buffer.as_ref().map_or(usize::MAX, |buffer| buffer.shortest().max(length));
        let capacity = self.heap.capacity().min(most);
        Room { start: self.heap.as_mut_ptr(), length, capacity }
    }

    /// Room for `bytes` bytes in the buffer. If the first `used` bytes are on the heap, they move
    /// there.
    fn on_shelf(&mut self, used: usize, bytes: usize) -> Option<Room> {
        let room = self.buffer.as_mut()?.room(self.buffered.unwrap_or(0), bytes)?;
        if room.len() < bytes.max(used) {
            return None;
        }
        if self.buffered.is_none() {
            room[..used].copy_from_slice(&self.heap);
            self.heap.clear();
            self.buffered = Some(used);
        }
        Some(Room { start: room.as_mut_ptr(), length: used, capacity: room.len() })
    }

    /// Gives the buffer up, and goes on on the heap. `None` if there is no buffer, or if it has
    /// lost the bytes that were in it.
    fn leave_shelf(&mut self) -> Option<()> {
        let buffer = self.buffer.take()?;
        if let Some(used) = self.buffered.take() {
            self.heap.extend_from_slice(buffer.room(used, used)?.get(..used)?);
        }
        Some(())
    }
}

// SAFETY: the room is that of the vector, which `self` owns, or what the buffer lends to `self`.
// Neither is used in another way until other room is asked for.
unsafe impl Memory for Output<'_> {
    #[inline]
    fn room(&mut self) -> Option<Room> {
        match self.buffered {
            None => Some(self.on_heap()),
            Some(used) => self.on_shelf(used, used),
        }
    }

    fn grow(&mut self, used: usize, more: usize) -> Option<Room> {
        // SAFETY: the sink that asks for more has written the first `used` bytes.
        unsafe { self.advance(used) };
        let bytes = used.checked_add(more)?;
        if self.buffer.as_ref().is_some_and(|buffer| bytes > buffer.shortest()) {
            let room = self.on_shelf(used, bytes.checked_add(BEHIND)?);
            if room.is_some() {
                return room;
            }
            self.leave_shelf()?;
        }
        self.heap.reserve(more);
        Some(self.on_heap())
    }
}

impl From<Vec<u8>> for Output<'_> {
    fn from(heap: Vec<u8>) -> Self {
        Self::new(heap, None)
    }
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Output({} bytes)", self.len())
    }
}
