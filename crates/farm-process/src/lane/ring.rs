//! A ring of bytes, which one process fills with records and another empties.
//!
//! ```text
//!              tail                         head
//!   ────────────▼────────────────────────────▼──────────────
//!      free     │ record │ record │ ... │     open │   free     (bytes are counted without end; their place is the
//!   ────────────┴────────┴────────┴─────┴──────────┴────────      count modulo the size of the ring)
//! ```
//!
//! A record is its length in four bytes and its bytes. The writer puts it in piece by piece, behind the head, and
//! closes it by moving the head beyond it; the reader copies it out and then moves the tail. So a writer that dies in
//! the middle has written nothing, and a reader never looks at bytes that may still change, but for
//! [`Reader::left_open`], when the writer is dead. Each side keeps its own count to itself and only tells it to the
//! other. What the other tells is not believed: a count that cannot be is [`Broken`].

use std::sync::atomic::Ordering;

use super::memory::{Count, Memory};

/// The other side has written what no partner writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Where the parts of a ring are in the memory that both sides share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The numbers of the two counts.
    pub(super) head: usize,
    pub(super) tail: usize,
    /// The first of the bytes, and how many there are.
    pub(super) start: usize,
    pub(super) size: usize,
}

/// The bytes of a record's length.
pub(super) const LENGTH: usize = 4;

pub(super) struct Writer {
    place: Place,
    head: u64,
    /// As it was told last.
    tail: u64,
    /// How much of the open record is written.
    open: usize,
}

pub(super) struct Reader {
    place: Place,
    tail: u64,
}

impl Writer {
    pub(super) fn new(place: Place) -> Self {
        Self { place, head: 0, tail: 0, open: 0 }
    }

    /// Whether a record could ever have so many bytes.
    pub(super) fn could_take(&self, bytes: usize) -> bool {
        LENGTH + bytes <= self.place.size
    }

    /// Whether so many bytes can be added to the open record.
    pub(super) fn has_room(&mut self, memory: &impl Memory, bytes: usize) -> Result<bool, Broken> {
        let wanted = (LENGTH + self.open + bytes) as u64;
        if self.head - self.tail + wanted > self.place.size as u64 {
            // Acquire: the reader has copied out what was there before.
            let tail = memory.count(self.place.tail).load(Ordering::Acquire);
            if !(self.tail..=self.head).contains(&tail) {
                return Err(Broken);
            }
            self.tail = tail;
        }
        Ok(self.head - self.tail + wanted <= self.place.size as u64)
    }

    /// Adds to the open record, if there is room; says whether there was.
    pub(super) fn add(&mut self, memory: &impl Memory, bytes: &[u8]) -> Result<bool, Broken> {
        let has_room = self.has_room(memory, bytes.len())?;
        if has_room {
            self.put(memory, self.open, bytes);
            self.open += bytes.len();
        }
        Ok(has_room)
    }

    /// Writes over what is in the open record already.
    pub(super) fn amend(&mut self, memory: &impl Memory, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.open);
        self.put(memory, at, bytes);
    }

    /// How much of the open record is written.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Closes the open record, which makes it one.
    pub(super) fn close(&mut self, memory: &impl Memory) {
        let length = (self.open as u32).to_ne_bytes();
        // SAFETY: as in `put`.
        self.place.pieces(self.head, LENGTH, |at, range| unsafe { memory.put(at, &length[range]) });
        self.head += (LENGTH + self.open) as u64;
        self.open = 0;
        // Release: whoever sees the new head sees the record.
        memory.count(self.place.head).store(self.head, Ordering::Release);
    }

    /// Whether the reader has not read all that is closed.
    pub(super) fn is_unread(&self, memory: &impl Memory) -> bool {
        memory.count(self.place.tail).load(Ordering::Acquire) != self.head
    }

    fn put(&self, memory: &impl Memory, offset: usize, bytes: &[u8]) {
        let at = self.head + (LENGTH + offset) as u64;
        self.place.pieces(at, bytes.len(), |at, range| {
            // SAFETY: there is room for them behind the head, where the reader does not look.
            unsafe { memory.put(at, &bytes[range]) }
        });
    }
}

impl Reader {
    pub(super) fn new(place: Place) -> Self {
        Self { place, tail: 0 }
    }

    /// Whether there is something to be read.
    pub(super) fn has_record(&self, memory: &impl Memory) -> bool {
        memory.count(self.place.head).load(Ordering::Acquire) != self.tail
    }

    /// Moves the next record to `record`; says whether there was one.
    pub(super) fn read(
        &mut self,
        memory: &impl Memory,
        record: &mut Vec<u8>,
    ) -> Result<bool, Broken> {
        // Acquire: pairs with the writer's release of the head.
        let head = memory.count(self.place.head).load(Ordering::Acquire);
        let there = head.wrapping_sub(self.tail);
        if there == 0 {
            return Ok(false);
        }
        if there > self.place.size as u64 || there < LENGTH as u64 {
            return Err(Broken);
        }
        let mut prefix = [0; LENGTH];
        self.copy(memory, self.tail, &mut prefix);
        let length = u32::from_ne_bytes(prefix) as usize;
        if (LENGTH + length) as u64 > there {
            return Err(Broken);
        }
        record.resize(length, 0);
        self.copy(memory, self.tail + LENGTH as u64, record);
        self.tail += (LENGTH + length) as u64;
        // Release: the writer uses this room again when it has seen that it is free.
        memory.count(self.place.tail).store(self.tail, Ordering::Release);
        Ok(true)
    }

    /// What a writer that is dead may have left in an open record, and, behind it, whatever was there before. All
    /// closed records must have been read.
    pub(super) fn left_open(&self, memory: &impl Memory) -> Vec<u8> {
        let mut bytes = vec![0; self.place.size - LENGTH];
        self.copy(memory, self.tail + LENGTH as u64, &mut bytes);
        bytes
    }

    fn copy(&self, memory: &impl Memory, at: u64, to: &mut [u8]) {
        self.place.pieces(at, to.len(), |at, range| {
            // SAFETY: these bytes belong to a record that is whole, or to a writer that is dead: nobody writes.
            unsafe { memory.get(at, &mut to[range]) }
        });
    }
}

impl Place {
    /// The places of bytes in the ring: two where it ends between them.
    fn pieces(&self, at: u64, length: usize, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
        let offset = (at % self.size as u64) as usize;
        let first = length.min(self.size - offset);
        each(self.start + offset, 0..first);
        if first < length {
            each(self.start, first..length);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::memory::loomed::Loomed;
    use super::*;

    const PLACE: Place = Place { head: 0, tail: 1, start: 0, size: 24 };

    fn write(writer: &mut Writer, memory: &Loomed, record: &[u8]) -> bool {
        let there = writer.add(memory, record).unwrap();
        if there {
            writer.close(memory);
        }
        there
    }

    #[test]
    fn records_arrive_whole_and_in_order_under_any_interleaving() {
        loom::model(|| {
            let memory = Arc::new(Loomed::new(2, 0, 24));
            let ours = memory.clone();
            // The third has to wait for room, and lies where the first did.
            let records: [&[u8]; 3] = [b"longest.", b"second", b"3rd"];
            let writer = loom::thread::spawn(move || {
                let mut writer = Writer::new(PLACE);
                for record in records {
                    while !writer.has_room(&*ours, record.len()).unwrap() {
                        loom::thread::yield_now();
                    }
                    let (first, second) = record.split_at(2);
                    assert!(writer.add(&*ours, first).unwrap());
                    assert!(writer.add(&*ours, second).unwrap());
                    writer.amend(&*ours, 0, first);
                    writer.close(&*ours);
                }
            });
            let (mut reader, mut record) = (Reader::new(PLACE), Vec::new());
            for expected in records {
                while !reader.read(&*memory, &mut record).unwrap() {
                    loom::thread::yield_now();
                }
                assert_eq!(record, expected);
            }
            assert!(!reader.has_record(&*memory));
            writer.join().unwrap();
        });
    }

    #[test]
    fn what_a_dead_writer_has_left_open_can_be_read() {
        loom::model(|| {
            let memory = Loomed::new(2, 0, 24);
            let (mut writer, mut reader) = (Writer::new(PLACE), Reader::new(PLACE));
            assert!(write(&mut writer, &memory, b"0123456789"));
            let mut record = Vec::new();
            assert_eq!(reader.read(&memory, &mut record), Ok(true));
            assert!(writer.add(&memory, b"open").unwrap() && writer.add(&memory, b"end").unwrap());
            assert_eq!(reader.read(&memory, &mut record), Ok(false));
            assert!(reader.left_open(&memory).starts_with(b"openend"));
        });
    }

    #[test]
    fn what_no_partner_writes_is_refused() {
        loom::model(|| {
            let memory = Loomed::new(2, 0, 24);
            let mut writer = Writer::new(PLACE);
            assert!(write(&mut writer, &memory, b"0123456789abcdef"));
            assert!(write(&mut writer, &memory, b""));
            assert!(!write(&mut writer, &memory, b""), "it is full");
            let read = |head: u64, length: u32| {
                memory.count(0).store(head, Ordering::Release);
                // SAFETY: nobody else is there.
                unsafe { memory.put(0, &length.to_ne_bytes()) };
                let mut record = Vec::new();
                Reader::new(PLACE).read(&memory, &mut record).map(|_| record.len())
            };
            assert_eq!(read(24, 16), Ok(16));
            assert_eq!(read(24, 20), Ok(20));
            let lies = [(25, 16), (u64::MAX, 16), (1, 0), (3, 0), (20, 17), (24, 21), (24, u32::MAX)];
            for (head, length) in lies {
                assert_eq!(read(head, length), Err(Broken), "head {head}, length {length}");
            }
            for tail in [25, u64::MAX] {
                memory.count(1).store(tail, Ordering::Release);
                assert_eq!(writer.add(&memory, b""), Err(Broken), "tail {tail}");
            }
        });
    }
}
