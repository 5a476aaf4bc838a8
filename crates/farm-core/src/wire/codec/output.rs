//! What is encoded: on the heap, or in room of a transport, so that a long value is written once.

use std::fmt;

use super::sink::{Memory, Room};

/// Room of a transport for one long value, which is encoded where it is to lie. How long it becomes is not known
/// beforehand.
pub trait OutputBuffer: Send {
    /// Values up to that length, in bytes, are not wanted here.
    fn shortest(&self) -> usize;

    /// Room for at least so many bytes. It begins with the first `used` bytes of what was last given, which may lie
    /// elsewhere now.
    ///
    /// `None` says that there is not so much, and leaves things as they are.
    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]>;
}

/// Bytes that are being encoded. Those that are many go to a buffer, if there is one and as long as it has room.
#[derive(Default)]
pub struct Output<'s> {
    heap: Vec<u8>,
    buffer: Option<&'s mut dyn OutputBuffer>,
    /// How many bytes are on the buffer, if they are there.
    buffered: Option<usize>,
}

/// Where encoded bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Encoded {
    /// On the heap.
    Heap(Vec<u8>),
    /// In the room that the buffer has given last: so many.
    Buffered(usize),
}

/// What is commonly put behind a value is asked for together with it. Source: the bytes that tell how much an argument
/// lends.
const BEHIND: usize = 64;

impl<'s> Output<'s> {
    /// Begins with what `heap` holds, and goes on there or on the buffer.
    #[inline]
    pub fn new(heap: Vec<u8>, buffer: Option<&'s mut dyn OutputBuffer>) -> Self {
        Self { heap, buffer, buffered: None }
    }

    /// Where the bytes are.
    #[inline]
    pub fn finish(self) -> Encoded {
        self.buffered.map_or(Encoded::Heap(self.heap), Encoded::Buffered)
    }

    /// What is on the heap.
    #[inline]
    pub(crate) fn into_heap(self) -> Vec<u8> {
        self.heap
    }

    /// What is on the heap.
    #[inline]
    pub(crate) fn heap(&self) -> &[u8] {
        &self.heap
    }

    /// What is on the heap.
    #[inline]
    pub(crate) fn heap_mut(&mut self) -> &mut [u8] {
        &mut self.heap
    }

    /// Puts bytes behind what is on the heap.
    #[inline]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.heap.extend_from_slice(bytes);
    }

    /// How many bytes there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.buffered.unwrap_or(self.heap.len())
    }

    /// Forgets what is behind so many bytes.
    pub(crate) fn truncate(&mut self, bytes: usize) {
        match &mut self.buffered {
            Some(buffered) => *buffered = bytes.min(*buffered),
            None => self.heap.truncate(bytes),
        }
    }

    /// Forgets the bytes. What is encoded next begins on the heap.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.buffered = None;
    }

    /// Notes that so many bytes are written.
    ///
    /// # Safety
    ///
    /// They are, in the room that it has given last.
    #[inline]
    pub(super) unsafe fn has_written(&mut self, length: usize) {
        match &mut self.buffered {
            Some(buffered) => *buffered = length,
            // SAFETY: as the caller promises.
            None => unsafe { self.heap.set_len(length) },
        }
    }

    #[inline]
    fn on_heap(&mut self) -> Room {
        let length = self.heap.len();
        // What does not fit here is to go to the buffer.
        let most = self.buffer.as_ref().map_or(usize::MAX, |buffer| buffer.shortest().max(length));
        let capacity = self.heap.capacity().min(most);
        Room { start: self.heap.as_mut_ptr(), length, capacity }
    }

    /// Room for so many bytes on the buffer, where the first `used` are brought if they are on the heap.
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

    /// Goes on without the buffer, on the heap.
    fn leave_shelf(&mut self) -> Option<()> {
        let buffer = self.buffer.take()?;
        if let Some(used) = self.buffered.take() {
            self.heap.extend_from_slice(buffer.room(used, used)?.get(..used)?);
        }
        Some(())
    }
}

// SAFETY: the room is that of the vector, which is its own, or what the buffer lends it, and neither is used until there is
// other room.
unsafe impl Memory for Output<'_> {
    #[inline]
    fn room(&mut self) -> Option<Room> {
        match self.buffered {
            None => Some(self.on_heap()),
            Some(used) => self.on_shelf(used, used),
        }
    }

    fn grow(&mut self, used: usize, more: usize) -> Option<Room> {
        // SAFETY: who asks has written them.
        unsafe { self.has_written(used) };
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
