//! The layout of the block of a lane.
//!
//! ```text
//! counts and words │ ring down │ ring up │ long results ...
//! ```
//!
//! Counts (64 bits) and words (32 bits) share one numbering.
//!
//! | number | count or word | read by | master stores | worker stores |
//! |---|---|---|---|---|
//! | 0 | `DOWN_TAIL`, the tail of the ring down | master | | any count |
//! | 1 | `UP_TAIL`, the tail of the ring up | worker | any count | |
//! | 4 | `TAKEN_UP` | master | | any count |
//! | 5 | `MAY_SPIN` | worker | 0, 1 | |
//! | 6 | `PARKER` | both | `AWAKE` | `ASLEEP`, `AWAKE` |
//! | 7 | `ROOM` | both | `ENOUGH`, `WANTED` | `THERE` |
//! | 8 | `LONG_ROOM` | both | `NOT_WANTED`, `REFUSED` | `NEEDED`, `NOT_WANTED` |
//! | 9 to 40 | `CLAIM_COUNTS` | both | a claim, a lower `limit` | a higher `next` |
//! | 41 to 72 | `RESULT_COUNTS` | worker | `FREE` | `IN_USE` |
//!
//! The master writes the ring down. The worker writes the ring up and the long results. In each
//! case the other side reads.

use std::ops::Range;

use super::block::{Block, CELL};
use super::parker::Parker;
use super::ring::Place;

const DOWN_TAIL: usize = 0;
const UP_TAIL: usize = 1;
/// A count: how many items the worker has taken up in its life. It tells an item that was running
/// when the worker died from one that was not. A worker that writes to wrong addresses can write
/// any number; at worst, the wrong item or none is charged with that worker's death.
pub(super) const TAKEN_UP: usize = 4;
/// A word: 1 if the worker may look for its next task without sleeping, otherwise 0.
pub(super) const MAY_SPIN: usize = 5;
/// The word by which the worker sleeps; see `parker.rs`.
pub(super) const PARKER: Parker = Parker(6);
/// A word with one of the values below: whether the master waits for room in the ring down. A
/// worker reports room by this word only when it goes to sleep. Before that, its answers tell the
/// master that it has read records.
pub(super) const ROOM: usize = 7;
/// The master does not wait for room.
pub(super) const ENOUGH: u32 = 0;
/// The master waits for room.
pub(super) const WANTED: u32 = 1;
/// The worker has read all records, so that there is room.
pub(super) const THERE: u32 = 2;
/// A word with one of the values below: whether the worker waits for room for a long result.
pub(super) const LONG_ROOM: usize = 8;
/// The worker does not wait for room, or the master has made some.
pub(super) const NOT_WANTED: u32 = 0;
/// The worker waits until the master makes room.
pub(super) const NEEDED: u32 = 1;
/// The master has no memory to which it could copy the results that lie in the lane.
pub(super) const REFUSED: u32 = 2;
/// The first claim count; see `range_claim.rs`.
pub(super) const CLAIM_COUNTS: usize = 9;
/// The number of claim counts: how many tasks a worker can have been sent ahead.
pub(super) const CLAIMS: usize = 32;
/// The first count of a place for a long result; see `results.rs`.
pub(super) const RESULT_COUNTS: usize = CLAIM_COUNTS + CLAIMS;
/// The number of places for long results: how many of one worker can be on their way or in use.
pub(super) const RESULTS: usize = 32;
const ALL: usize = RESULT_COUNTS + RESULTS;

const RING: usize = 128 * 1024;
const DOWN: usize = (ALL * CELL).next_multiple_of(4096);
const UP: usize = DOWN + RING;
const LONG: usize = UP + RING;

pub(super) const RING_DOWN: Place = Place { tail: DOWN_TAIL, start: DOWN, size: RING };
pub(super) const RING_UP: Place = Place { tail: UP_TAIL, start: UP, size: RING };

/// The length of a block that has `room` bytes for long results.
pub(super) const fn block_with(room: usize) -> usize {
    LONG + room
}

/// The part of the block in which long results lie.
pub(super) fn result_room(block: &Block) -> Range<usize> {
    LONG.min(block.len())..block.len()
}
