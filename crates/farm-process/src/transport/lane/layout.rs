//! What lies where in the block of a lane.
//!
//! ```text
//! counts and words │ ring down │ ring up │ long results ...
//! ```

use std::ops::Range;

use super::block::{Block, CELL};
use super::parker::Parker;
use super::ring::Place;

// The numbers of the counts and words, which share one numbering.
const DOWN_TAIL: usize = 0;
const UP_TAIL: usize = 1;
/// How many items the worker has taken up. It tells an item that was running when the worker died from one that was not.
/// The worker writes it; one that runs wild can write anything, and the worst that comes of it is that the wrong item is
/// charged with its death, or none.
pub(super) const TAKEN_UP: usize = 4;
/// Whether the worker may look for its next task without sleeping: a word.
pub(super) const MAY_SPIN: usize = 5;
pub(super) const PARKER: Parker = Parker(6);
/// Whether the master waits for room in the ring down: a word, with one of the values below. A worker says that there is
/// room when it goes to sleep; until then its answers tell.
pub(super) const ROOM: usize = 7;
pub(super) const ENOUGH: u32 = 0;
pub(super) const WANTED: u32 = 1;
pub(super) const THERE: u32 = 2;
/// Whether the worker waits for room for a long result: a word, with one of the values below.
pub(super) const LONG_ROOM: usize = 8;
pub(super) const NOT_WANTED: u32 = 0;
pub(super) const NEEDED: u32 = 1;
/// There is no memory to which the master could take out what lies there.
pub(super) const REFUSED: u32 = 2;
pub(super) const CLAIM_COUNTS: usize = 9;
/// How many tasks a worker can have been sent ahead.
pub(super) const CLAIMS: usize = 32;
pub(super) const RESULT_COUNTS: usize = CLAIM_COUNTS + CLAIMS;
/// How many long results of one worker can be on their way or in use.
pub(super) const RESULTS: usize = 32;
const ALL: usize = RESULT_COUNTS + RESULTS;

const RING: usize = 128 * 1024;
const DOWN: usize = (ALL * CELL).next_multiple_of(4096);
const UP: usize = DOWN + RING;
const LONG: usize = UP + RING;

pub(super) const RING_DOWN: Place = Place { tail: DOWN_TAIL, start: DOWN, size: RING };
pub(super) const RING_UP: Place = Place { tail: UP_TAIL, start: UP, size: RING };

/// How long a block is that has so much room for long results.
pub(super) const fn block_with(room: usize) -> usize {
    LONG + room
}

/// Where long results lie.
pub(super) fn result_room(block: &Block) -> Range<usize> {
    LONG.min(block.len())..block.len()
}
