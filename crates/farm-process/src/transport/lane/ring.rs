//! A ring of bytes, which one process fills with records and another empties.
//!
//! ```text
//!              tail                         head
//!   ────────────▼────────────────────────────▼──────────────
//!      free     │ record │ record │ ... │   0│ open │   free     (bytes are counted without end; their place is the
//!   ────────────┴────────┴────────┴─────┴────┴──────┴────────      count modulo the size of the ring)
//! ```
//!
//! A record is a mark, which says how long it is, and its bytes. The writer puts it in piece by piece, behind the head,
//! where the mark is 0 as long as the record is open. It closes the record by first putting a mark of 0 behind it, for
//! the next, and then its own. The reader waits for the mark at its tail, copies the record out and moves the tail. So
//! a small record arrives in one line of the cache, with its mark; a writer that dies in the middle has written nothing;
//! and a reader never looks at bytes that may still change, but for [`Reader::left_open`], when the writer is dead.
//! Each side keeps its own count to itself; the reader tells its own, so that the writer knows what is free. What the
//! other side tells is not believed: what cannot be is [`Broken`].

use std::sync::atomic::Ordering;

use super::memory::{Count, Memory, Word};
use crate::transport::Broken;

/// Where the parts of a ring are in the memory that both sides share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of the count by which the reader tells its tail.
    pub(super) tail: usize,
    /// The first of the bytes, and how many there are: whole lines, and a power of two.
    pub(super) start: usize,
    pub(super) size: usize,
}

/// The bytes of a mark, which is a word. Of its value, 0 stands for a record that is open.
pub(super) const LENGTH_WORD: usize = 4;

/// A record begins with a line of the cache.
pub(super) const LINE: usize = 64;

/// What a record of so many bytes takes up.
fn room(bytes: usize) -> u64 {
    (LENGTH_WORD + bytes).next_multiple_of(LINE) as u64
}

/// What a record of so many bytes must have before it, so that there is room for the mark behind it.
fn needed(bytes: usize) -> u64 {
    room(bytes) + LINE as u64
}

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
        needed(bytes) <= self.place.size as u64
    }

    /// Whether so many bytes can be added to the open record.
    pub(super) fn check_room(
        &mut self,
        memory: &impl Memory,
        bytes: usize,
    ) -> Result<bool, Broken> {
        let end = self.head + needed(self.open + bytes);
        if end - self.tail > self.place.size as u64 {
            // Acquire: the reader has copied out what was there before.
            let tail = memory.count(self.place.tail).load(Ordering::Acquire);
            if !(self.tail..=self.head).contains(&tail) {
                return Err(Broken);
            }
            self.tail = tail;
        }
        Ok(end - self.tail <= self.place.size as u64)
    }

    /// Adds to the open record, if there is room; says whether there was.
    pub(super) fn add(&mut self, memory: &impl Memory, bytes: &[u8]) -> Result<bool, Broken> {
        let has_room = self.check_room(memory, bytes.len())?;
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
        let next = self.head + room(self.open);
        memory.word_at(self.place.at(next)).store(0, Ordering::Relaxed);
        // Release: whoever sees the mark sees the record, and the mark behind it.
        memory.word_at(self.place.at(self.head)).store(self.open as u32 + 1, Ordering::Release);
        self.head = next;
        self.open = 0;
    }

    /// Whether the reader has not read all that is closed.
    pub(super) fn is_unread(&self, memory: &impl Memory) -> bool {
        memory.count(self.place.tail).load(Ordering::Acquire) != self.head
    }

    fn put(&self, memory: &impl Memory, offset: usize, bytes: &[u8]) {
        let at = self.head + (LENGTH_WORD + offset) as u64;
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
        self.place.has_record(memory, self.tail)
    }

    /// Moves the next record to `record`; says whether there was one.
    pub(super) fn read(
        &mut self,
        memory: &impl Memory,
        record: &mut Vec<u8>,
    ) -> Result<bool, Broken> {
        // Acquire: pairs with the writer's release.
        let mark = memory.word_at(self.place.at(self.tail)).load(Ordering::Acquire) as usize;
        let Some(length) = mark.checked_sub(1) else { return Ok(false) };
        if needed(length) > self.place.size as u64 {
            return Err(Broken);
        }
        record.resize(length, 0);
        self.copy(memory, self.tail + LENGTH_WORD as u64, record);
        self.tail += room(length);
        // Release: the writer uses this room again when it has seen that it is free.
        memory.count(self.place.tail).store(self.tail, Ordering::Release);
        Ok(true)
    }

    /// How much has been read.
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// What a writer that is dead may have left in an open record, and, behind it, whatever was there before. All
    /// closed records must have been read.
    pub(super) fn left_open(&self, memory: &impl Memory) -> Vec<u8> {
        let mut bytes = vec![0; self.place.size - LENGTH_WORD];
        self.copy(memory, self.tail + LENGTH_WORD as u64, &mut bytes);
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
    /// Where the byte with this count is.
    #[inline]
    fn at(&self, count: u64) -> usize {
        debug_assert!(self.size.is_power_of_two());
        self.start + (count as usize & (self.size - 1))
    }

    /// Whether there is a record for a reader with this tail.
    pub(super) fn has_record(&self, memory: &impl Memory, tail: u64) -> bool {
        memory.word_at(self.at(tail)).load(Ordering::Acquire) != 0
    }

    /// The places of bytes in the ring: two where it ends between them.
    fn pieces(&self, at: u64, length: usize, mut each: impl FnMut(usize, std::ops::Range<usize>)) {
        let at = self.at(at);
        let first = length.min(self.start + self.size - at);
        each(at, 0..first);
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

    const SIZE: usize = 4 * LINE;
    const PLACE: Place = Place { tail: 0, start: 0, size: SIZE };

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
            let memory = Arc::new(Loomed::new(1, 0, SIZE));
            let ours = memory.clone();
            // The third has to wait for room, and lies where the first did.
            let records: [&[u8]; 3] = [&[1; LINE], &[2; 10], &[3; 70]];
            let writer = loom::thread::spawn(move || {
                let mut writer = Writer::new(PLACE);
                for record in records {
                    while !writer.check_room(&*ours, record.len()).unwrap() {
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
            let memory = Loomed::new(1, 0, SIZE);
            let (mut writer, mut reader) = (Writer::new(PLACE), Reader::new(PLACE));
            assert!(write(&mut writer, &memory, &[7; 100]));
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
            let memory = Loomed::new(1, 0, SIZE);
            let mut writer = Writer::new(PLACE);
            assert!(write(&mut writer, &memory, &[1; 2 * LINE - LENGTH_WORD]));
            assert!(write(&mut writer, &memory, b""));
            assert!(!write(&mut writer, &memory, b""), "it is full");
            let most = (SIZE - LINE - LENGTH_WORD) as u32;
            for (mark, read) in [
                (0, Ok(false)),
                (1, Ok(true)),
                (most + 1, Ok(true)),
                (most + 2, Err(Broken)),
                (u32::MAX, Err(Broken)),
            ] {
                memory.word_at(0).store(mark, Ordering::Release);
                let mut record = Vec::new();
                assert_eq!(Reader::new(PLACE).read(&memory, &mut record), read, "mark {mark}");
                assert!(read != Ok(true) || record.len() == mark as usize - 1);
            }
            for tail in [3 * LINE as u64 + 1, u64::MAX] {
                memory.count(0).store(tail, Ordering::Release);
                assert_eq!(writer.add(&memory, b""), Err(Broken), "tail {tail}");
            }
        });
    }
}
