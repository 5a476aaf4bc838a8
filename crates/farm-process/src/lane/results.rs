//! Where a worker puts long results: behind the rings of its own lane. The master decodes a result where it lies, and
//! says that it is done with it by a count that belongs to the place.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use farm_core::Payload;

use super::block::Block;
use super::extents::Extents;
use super::layout::{RESULT_COUNTS, RESULTS, result_room};
use super::memory::Memory;
use super::record::Beside;
use crate::fork::Here;

const FREE: u64 = 0;
const IN_USE: u64 = 1;

/// The worker's side.
pub(super) struct Results {
    extents: Extents,
    /// What lies at each place.
    rooms: [Option<Range<usize>>; RESULTS],
}

impl Results {
    pub(super) fn new(block: &Block) -> Self {
        Self { extents: Extents::new(result_room(block)), rooms: [const { None }; RESULTS] }
    }

    /// Puts a result of some parts in, and says where; `None` if there is no place for it now.
    pub(super) fn put(&mut self, block: &Block, result: &[&[u8]]) -> Option<(usize, Beside)> {
        for (n, place) in self.rooms.iter_mut().enumerate() {
            // Acquire: the master has read what was there.
            if place.is_some()
                && block.count(RESULT_COUNTS + n).load(Ordering::Acquire) == FREE
                && let Some(idle) = place.take().and_then(|room| self.extents.put_back(room))
            {
                block.give_back(idle.start, idle.len());
            }
        }
        let n = self.rooms.iter().position(Option::is_none)?;
        let bytes = result.iter().map(|part| part.len()).sum();
        let room = self.extents.take(bytes)?;
        let mut at = room.start;
        for part in result {
            // SAFETY: this room is nobody else's now.
            unsafe { block.put(at, part) };
            at += part.len();
        }
        let beside = Beside { at: room.start as u64, bytes: bytes as u64 };
        self.rooms[n] = Some(room);
        // The record that tells of it publishes it.
        block.count(RESULT_COUNTS + n).store(IN_USE, Ordering::Relaxed);
        Some((n, beside))
    }
}

/// A result as the master has it.
struct Lent {
    /// A fork of the master's process gives nothing back.
    here: Here,
    block: Arc<Block>,
    n: usize,
    at: usize,
    bytes: usize,
}

/// The most results that the master leaves where they lie; of further ones it makes copies, so that workers have room.
const MOST_LENT: usize = 16;

/// How many there are. It orders nothing, hence `Relaxed`.
static LENT: AtomicUsize = AtomicUsize::new(0);

/// The master takes a result; `None` if it is not where a worker could have put it.
pub(super) fn take(
    here: Here,
    block: &Arc<Block>,
    n: usize,
    Beside { at, bytes }: Beside,
) -> Option<Payload> {
    let (at, bytes) = (usize::try_from(at).ok()?, usize::try_from(bytes).ok()?);
    let room = result_room(block);
    if n >= RESULTS || at < room.start || at.checked_add(bytes)? > room.end {
        return None;
    }
    let is_one_too_many = LENT.fetch_add(1, Ordering::Relaxed) >= MOST_LENT;
    let lent = Lent { here, block: block.clone(), n, at, bytes };
    Some(if is_one_too_many {
        Payload::Owned(lent.as_ref().to_vec())
    } else {
        Payload::Mapped(Arc::new(lent))
    })
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: a worker that keeps to the protocol does not write here until the count says that it may, and the
        // length is the master's own. One that runs wild can change the bytes while they are decoded, as with any
        // memory that a crashing process shares; text that was found to be UTF-8 could then be copied as something else.
        unsafe { self.block.bytes(self.at, self.bytes) }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        LENT.fetch_sub(1, Ordering::Relaxed);
        if !self.here.is_here() {
            return;
        }
        // Release: what was read was read before.
        self.block.count(RESULT_COUNTS + self.n).store(FREE, Ordering::Release);
    }
}
