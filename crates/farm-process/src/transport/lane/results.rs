//! Long results. They lie in the lane of their worker, behind its rings, and the master decodes
//! them there.
//!
//! There are [`RESULTS`] places for them, each with a count. The worker stores `IN_USE` in the
//! count when it puts a result there, and reads the count to learn whether the place is free. The
//! master stores `FREE` when it has finished with the result, and never reads the count. If results
//! are not read, and a worker has no room for another one, it says so by the word `LONG_ROOM`, and
//! the master copies them to its own memory. So no task waits for somebody to read the result of
//! another.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use farm_core::codec::{OutputBuffer, SharedBytes};
use parking_lot::Mutex;

use super::block::Block;
use super::free_list::FreeList;
use super::layout::{RESULT_COUNTS, RESULTS, result_room};
use super::memory::Memory;
use super::record::Beside;
use super::record::MOST_INLINE;
use farm_os::fork::Here;

const FREE: u64 = 0;
const IN_USE: u64 = 1;

/// The worker's side: which bytes and places are in use.
pub(super) struct Results {
    free_list: FreeList,
    /// The range of the result at each place.
    rooms: [Option<Range<usize>>; RESULTS],
    /// The range of the result that is being encoded. There is a free place for that result.
    open: Option<Range<usize>>,
}

/// The output buffer for one result: a long result is encoded in the lane.
pub(crate) struct ResultWriter<'a> {
    block: &'a Block,
    results: &'a mut Results,
}

/// How many bytes are left free before each result, for the time that stands before the results of
/// a batch.
const BEFORE: usize = 64;

impl Results {
    pub(super) fn new(block: &Block) -> Self {
        let free_list = FreeList::new(result_room(block));
        Self { free_list, rooms: [const { None }; RESULTS], open: None }
    }

    pub(super) fn writer<'a>(&'a mut self, block: &'a Block) -> ResultWriter<'a> {
        ResultWriter { block, results: self }
    }

    /// Puts a result into the lane, with `head` before it, and returns where it lies. `None` if
    /// there is no place or no room for it now.
    pub(super) fn put(
        &mut self,
        block: &Block,
        head: &[u8],
        result: &[u8],
    ) -> Option<(usize, Beside)> {
        self.discard(block);
        let mut writer = self.writer(block);
        let room = writer.room(0, result.len())?;
        room.get_mut(..result.len())?.copy_from_slice(result);
        self.commit(block, head, result.len())
    }

    /// Keeps the result that was encoded in the room that was given last, with `head` before it.
    pub(super) fn commit(
        &mut self,
        block: &Block,
        head: &[u8],
        bytes: usize,
    ) -> Option<(usize, Beside)> {
        let n = self.rooms.iter().position(Option::is_none)?;
        let mut room = self.open.take()?;
        assert!(head.len() <= BEFORE && BEFORE + bytes <= room.len(), "there is room for it");
        let idle = self.free_list.shorten(&mut room, BEFORE + bytes);
        block.give_back_if_any(idle);
        let at = room.start + BEFORE - head.len();
        // SAFETY: this range was taken from the free list, and the master is not told of it yet.
        unsafe { block.put(at, head) };
        let beside = Beside { at: at as u64, bytes: (head.len() + bytes) as u64 };
        self.rooms[n] = Some(room);
        // The record that tells the master of the result publishes this.
        block.count(RESULT_COUNTS + n).store(IN_USE, Ordering::Relaxed);
        Some((n, beside))
    }

    /// Gives back the room of a result that was being encoded and is not kept there.
    pub(super) fn discard(&mut self, block: &Block) {
        if let Some(room) = self.open.take() {
            block.give_back_if_any(self.free_list.put_back(room));
        }
    }

    /// Whether there is room for a result of so many bytes now.
    pub(super) fn check_room(&mut self, block: &Block, bytes: usize) -> bool {
        self.tidy(block) && self.writer(block).room(0, bytes).is_some()
    }

    /// Whether no result is on its way or unread, as far as `tidy` has seen.
    pub(super) fn is_empty(&self) -> bool {
        self.rooms.iter().all(Option::is_none)
    }

    /// Whether the lane could ever hold a result of so many bytes.
    pub(super) fn could_take(block: &Block, bytes: usize) -> bool {
        bytes.saturating_add(BEFORE) <= result_room(block).len()
    }

    /// Takes back the ranges of results with which the master has finished. Returns whether there
    /// is a free place.
    fn tidy(&mut self, block: &Block) -> bool {
        for (n, place) in self.rooms.iter_mut().enumerate() {
            // Acquire: pairs with the release in `LentResult::give_back`, before which the master
            // has read the result.
            if place.is_some()
                && block.count(RESULT_COUNTS + n).load(Ordering::Acquire) == FREE
                && let Some(room) = place.take()
            {
                block.give_back_if_any(self.free_list.put_back(room));
            }
        }
        self.rooms.iter().any(Option::is_none)
    }
}

impl OutputBuffer for ResultWriter<'_> {
    fn shortest(&self) -> usize {
        MOST_INLINE
    }

    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
        let (block, bytes) = (self.block, bytes.checked_add(BEFORE)?);
        if self.results.open.is_none() && !self.results.tidy(block) {
            return None;
        }
        let Results { free_list, open, .. } = &mut *self.results;
        let room = match open {
            Some(room) => room,
            none => none.insert(free_list.take_of(block, bytes)?),
        };
        if !free_list.extend_in(block, room, bytes) {
            let longer = free_list.take_of(block, bytes)?;
            let used = used.min(room.len() - BEFORE);
            // SAFETY: both ranges were taken from the free list, so they do not overlap, and the
            // master is told of neither yet.
            unsafe { block.put(longer.start + BEFORE, block.bytes(room.start + BEFORE, used)) };
            let shorter = std::mem::replace(room, longer);
            block.give_back_if_any(free_list.put_back(shorter));
        }
        // SAFETY: as above.
        Some(unsafe { block.bytes_mut(room.start + BEFORE, room.len() - BEFORE) })
    }
}

/// A long result, as the master has it. The worker can still write to it by mistake, so bytes are
/// copied before they are used.
pub(super) struct LentResult {
    /// Tells whether this process is a fork of the master, which does not give the room back.
    here: Here,
    block: Arc<Block>,
    n: usize,
    at: usize,
    bytes: usize,
    /// A copy, once the room has been given back to the worker.
    copy: Mutex<Option<Vec<u8>>>,
}

/// The most results that the master leaves in the lanes of all its pools. It copies further ones at
/// once, so that workers have room.
const MOST_LENT: usize = 16;

/// The number of results that the master has left in lanes. It orders nothing, hence `Relaxed`.
static LENT: AtomicUsize = AtomicUsize::new(0);

/// Takes a result on the side of the master; `None` if a worker could not have put it there.
pub(super) fn take(
    here: Here,
    block: &Arc<Block>,
    n: usize,
    Beside { at, bytes }: Beside,
) -> Option<Arc<LentResult>> {
    let (at, bytes) = (usize::try_from(at).ok()?, usize::try_from(bytes).ok()?);
    let room = result_room(block);
    let end = at.checked_add(bytes)?;
    // Bytes behind the end of the file cannot be read.
    if n >= RESULTS || at < room.start || end > room.end || !block.reaches(end) {
        return None;
    }
    let is_one_too_many = LENT.fetch_add(1, Ordering::Relaxed) >= MOST_LENT;
    let lent = LentResult { here, block: block.clone(), n, at, bytes, copy: Mutex::default() };
    if is_one_too_many {
        lent.take_out();
    }
    Some(Arc::new(lent))
}

impl LentResult {
    /// Where the result lies in its lane, unless there is a copy.
    pub(super) fn place(&self) -> Option<Range<usize>> {
        self.copy.lock().is_none().then(|| self.at..self.at + self.bytes)
    }

    /// Copies the result to the master's own memory, and gives the room back to the worker. Returns
    /// whether there was memory for the copy.
    pub(super) fn take_out(&self) -> bool {
        let mut copy = self.copy.lock();
        if copy.is_none() {
            let mut bytes = Vec::new();
            if bytes.try_reserve_exact(self.bytes).is_err() {
                return false;
            }
            self.block.copy(self.at, &mut bytes.spare_capacity_mut()[..self.bytes]);
            // SAFETY: `self.bytes` bytes were copied there.
            unsafe { bytes.set_len(self.bytes) };
            *copy = Some(bytes);
            self.give_back();
        }
        true
    }

    fn give_back(&self) {
        LENT.fetch_sub(1, Ordering::Relaxed);
        if self.here.is_here() {
            // Release: pairs with the acquire in `Results::tidy`; the master has read the result
            // before.
            self.block.count(RESULT_COUNTS + self.n).store(FREE, Ordering::Release);
        }
    }
}

// SAFETY: `copy` writes every byte of `to`, from the copy or from the lane.
unsafe impl SharedBytes for LentResult {
    fn len(&self) -> usize {
        self.bytes
    }

    fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
        let end = at.checked_add(to.len());
        assert!(end.is_some_and(|end| end <= self.bytes), "it is within the result");
        match &*self.copy.lock() {
            Some(bytes) => {
                for (to, byte) in to.iter_mut().zip(&bytes[at..]) {
                    to.write(*byte);
                }
            }
            None => self.block.copy(self.at + at, to),
        }
    }
}

impl Drop for LentResult {
    fn drop(&mut self) {
        if self.copy.get_mut().is_none() {
            self.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::block_with;
    use super::*;

    #[test]
    fn what_could_not_be_encoded_takes_no_room_from_what_comes() {
        const ROOM: usize = 1 << 20;
        let block = Block::create("farm-test", block_with(0), block_with(ROOM)).unwrap();
        let mut results = Results::new(&block);
        let most = ROOM - BEFORE;
        assert!(Results::could_take(&block, most) && !Results::could_take(&block, most + 1));
        // The room grows until the lane has no more, and then a longer one is refused.
        let mut writer = results.writer(&block);
        assert!(writer.room(0, most / 2).is_some() && writer.room(most / 2, most).is_some());
        assert!(writer.room(most, most + 1).is_none());
        results.discard(&block);
        // A result whose room was too short is put into the lane from elsewhere.
        assert!(results.writer(&block).room(0, most / 2).is_some());
        let (place, beside) = results.put(&block, b"head", &vec![7; most]).expect("it fits");
        assert_eq!((place, beside.bytes), (0, most as u64 + 4));
        assert_eq!(results.put(&block, b"", &[7]), None, "all is taken");
        block.count(RESULT_COUNTS).store(FREE, Ordering::Release);
        assert!(results.put(&block, b"", &[7]).is_some());
    }
}
