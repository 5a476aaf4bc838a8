//! A ring buffer of bytes, which one process fills with records and another one empties.
//!
//! ```text
//!              tail                         head
//!   ────────────▼────────────────────────────▼──────────────
//!      free     │ record │ record │ ... │   0│ open │   free
//!   ────────────┴────────┴────────┴─────┴────┴──────┴───────
//! ```
//!
//! A record is a length word and the bytes of the record. The length word is 0 as long as the
//! record is open, and then the number of bytes plus one. The writer adds to the open record piece
//! by piece, behind the head. It closes the record in two steps: it stores 0 in the length word of
//! the next record, and then the length in the length word of this record. The reader loads the
//! length word at the tail until it is not 0, copies the record out, and moves the tail. So:
//!
//! - A small record arrives in one line of the cache, together with its length word.
//! - A writer that dies in the middle of a record has written no record.
//! - The reader copies no bytes that may still change, except by [`Reader::left_open`], when the
//!   writer is dead.
//!
//! Head and tail count bytes and never start again from 0. The place of a byte is its count modulo
//! the size of the ring.
//!
//! | what | written by | read by |
//! |---|---|---|
//! | length word, record | writer | reader |
//! | head | writer, in its own memory | writer |
//! | tail | reader, in its own memory and in the lane | reader: its own; writer: the lane's |
//!
//! The store of a length word (release, in `Writer::close`) pairs with the load of that word
//! (acquire, in `Reader::read` and `has_record`). The store of the tail (release, in
//! `Reader::read`) pairs with its load (acquire, in `Writer::check_room`). Neither side trusts what
//! the other one has written: a value that is impossible is [`Broken`].

use std::sync::atomic::Ordering;

use super::memory::{Count, Memory, Word};
use crate::transport::Broken;

/// Where the parts of a ring lie in the memory that both sides share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The number of the count in which the reader stores the tail.
    pub(super) tail: usize,
    /// The offset of the first byte, and the number of bytes: whole lines of the cache, and a power
    /// of two.
    pub(super) start: usize,
    pub(super) size: usize,
}

/// The number of bytes in a length word.
pub(super) const LENGTH_WORD: usize = 4;

/// The bytes in a line of the cache. A record begins with a new line.
pub(super) const LINE: usize = 64;

/// How many bytes of the ring a record of so many bytes takes up.
fn room(bytes: usize) -> u64 {
    (LENGTH_WORD + bytes).next_multiple_of(LINE) as u64
}

/// How many bytes must be free for a record of so many bytes, so that there is room for the length
/// word behind it.
fn needed(bytes: usize) -> u64 {
    room(bytes) + LINE as u64
}

pub(super) struct Writer {
    place: Place,
    head: u64,
    /// The tail, as this side has read it last.
    tail: u64,
    /// How many bytes of the open record are written.
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
            // Acquire: pairs with the release in `Reader::read`, which has copied out what lay
            // before this tail.
            let tail = memory.count(self.place.tail).load(Ordering::Acquire);
            if !(self.tail..=self.head).contains(&tail) {
                return Err(Broken);
            }
            self.tail = tail;
        }
        Ok(end - self.tail <= self.place.size as u64)
    }

    /// Adds bytes to the open record, if there is room; returns whether there was.
    pub(super) fn add(&mut self, memory: &impl Memory, bytes: &[u8]) -> Result<bool, Broken> {
        let has_room = self.check_room(memory, bytes.len())?;
        if has_room {
            self.put(memory, self.open, bytes);
            self.open += bytes.len();
        }
        Ok(has_room)
    }

    /// Overwrites bytes of the open record.
    pub(super) fn amend(&mut self, memory: &impl Memory, at: usize, bytes: &[u8]) {
        debug_assert!(at + bytes.len() <= self.open);
        self.put(memory, at, bytes);
    }

    /// How many bytes of the open record are written.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Closes the open record, so that the reader can read it.
    pub(super) fn close(&mut self, memory: &impl Memory) {
        let next = self.head + room(self.open);
        memory.word_at(self.place.at(next)).store(0, Ordering::Relaxed);
        // Release: pairs with the acquire in `read` and `has_record`. A reader that sees this
        // length word also sees the record, and the 0 in the next length word.
        memory.word_at(self.place.at(self.head)).store(self.open as u32 + 1, Ordering::Release);
        self.head = next;
        self.open = 0;
    }

    /// Whether the reader has still to read closed records.
    pub(super) fn is_unread(&self, memory: &impl Memory) -> bool {
        memory.count(self.place.tail).load(Ordering::Acquire) != self.head
    }

    fn put(&self, memory: &impl Memory, offset: usize, bytes: &[u8]) {
        let at = self.head + (LENGTH_WORD + offset) as u64;
        self.place.pieces(at, bytes.len(), |at, range| {
            // SAFETY: these bytes belong to the open record, and there is room for them behind the
            // head, where the reader does not read.
            unsafe { memory.put(at, &bytes[range]) }
        });
    }
}

impl Reader {
    pub(super) fn new(place: Place) -> Self {
        Self { place, tail: 0 }
    }

    /// Whether there is a record to read.
    pub(super) fn has_record(&self, memory: &impl Memory) -> bool {
        self.place.has_record(memory, self.tail)
    }

    /// Moves the next record to `record`; returns whether there was one.
    pub(super) fn read(
        &mut self,
        memory: &impl Memory,
        record: &mut Vec<u8>,
    ) -> Result<bool, Broken> {
        // Acquire: pairs with the release in `Writer::close`.
        let mark = memory.word_at(self.place.at(self.tail)).load(Ordering::Acquire) as usize;
        let Some(length) = mark.checked_sub(1) else { return Ok(false) };
        if needed(length) > self.place.size as u64 {
            return Err(Broken);
        }
        record.resize(length, 0);
        self.copy(memory, self.tail + LENGTH_WORD as u64, record);
        self.tail += room(length);
        // Release: pairs with the acquire in `Writer::check_room`. The writer uses this room again
        // only when it has seen this tail, and by then the record is copied.
        memory.count(self.place.tail).store(self.tail, Ordering::Release);
        Ok(true)
    }

    /// How many bytes have been read.
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// The bytes that a dead writer may have left in the open record, followed by whatever was
    /// there before. All closed records must have been read.
    pub(super) fn left_open(&self, memory: &impl Memory) -> Vec<u8> {
        let mut bytes = vec![0; self.place.size - LENGTH_WORD];
        self.copy(memory, self.tail + LENGTH_WORD as u64, &mut bytes);
        bytes
    }

    fn copy(&self, memory: &impl Memory, at: u64, to: &mut [u8]) {
        self.place.pieces(at, to.len(), |at, range| {
            // SAFETY: these bytes belong to a closed record, or the writer is dead. In both cases
            // nobody writes to them.
            unsafe { memory.get(at, &mut to[range]) }
        });
    }
}

impl Place {
    /// The place of the byte with this count.
    #[inline]
    fn at(&self, count: u64) -> usize {
        debug_assert!(self.size.is_power_of_two());
        self.start + (count as usize & (self.size - 1))
    }

    /// Whether there is a record for a reader with this tail.
    pub(super) fn has_record(&self, memory: &impl Memory, tail: u64) -> bool {
        memory.word_at(self.at(tail)).load(Ordering::Acquire) != 0
    }

    /// The places of bytes in the ring: two, if the end of the ring lies between them.
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
            // The third record has to wait for room, and lies where the first one did.
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
