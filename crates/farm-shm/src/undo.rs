//! The old rows of bands, which let a task that is started again find its rows as they were at
//! first.
//!
//! The old rows are in the undo, a second segment. It begins with the same layout as the segment of
//! the array; after that, it has one byte for each row. The byte of the first row of a band is the
//! flag of the band. It says whether the undo holds the old rows of the band:
//!
//! ```text
//! master, when it encodes the band:  flag = NO
//! worker, before the task begins:    NO  ─▶ copy the rows to the undo, then flag = YES
//!                                    YES ─▶ an attempt has failed: copy the rows back
//! master, when it recovers the split of a band whose task has failed for good:
//!                                    YES ─▶ copy the rows back
//! ```
//!
//! A worker that dies while it copies the rows to the undo has not changed them. If it dies later,
//! the next attempt finds them in the undo. If it dies while it copies them back, flag and undo are
//! as before. Each attempt gets the same message. Rows are lent again only when the former worker
//! is dead, or has answered and has no handle of them any more.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ndarray::Ix1;
use parking_lot::Mutex;

use crate::ShmError;
use crate::name::Name;
use crate::ranges::{gaps, include};
use crate::segment::{Access, Mapping, check_room, with_patience};

const NO: u8 = 0;
const YES: u8 = 1;

/// The undo of one array.
pub(crate) struct Undo {
    mapping: Arc<Mapping>,
    reserved: Mutex<Reserved>,
}

/// The parts of the undo for which memory was reserved.
#[derive(Default)]
struct Reserved {
    /// The rows, as ranges that neither overlap nor touch.
    rows: Vec<Range<usize>>,
    /// The pages that hold flags, by their number in the segment.
    pages: BTreeSet<usize>,
}

/// The size of the smallest page.
const PAGE: usize = 4096;

/// Some rows of an array, and how many bytes each row has.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) rows: Range<usize>,
    pub(crate) bytes_per_row: usize,
}

impl Rows {
    fn bytes(&self) -> Range<usize> {
        self.rows.start * self.bytes_per_row..self.rows.end * self.bytes_per_row
    }

    /// Returns whether the rows have no bytes, so that nothing can be overwritten.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

impl Mapping {
    /// In the master: reserves memory in the undo for the old rows of `part`, clears the flag of
    /// `part`, and returns the name of the undo.
    pub(crate) fn undo_for(&self, part: &Rows) -> Result<Name, ShmError> {
        let mut undo = self.undo.lock();
        let undo = match &*undo {
            Some(undo) => undo,
            None => {
                // A row has at least one byte, so the undo is at most twice as long as the array.
                let bytes = mark_of(self, self.bytes() / part.bytes_per_row);
                let mapping = Self::create_sparse(bytes)?;
                undo.insert(Arc::new(Undo { mapping, reserved: Mutex::default() }))
            }
        };
        undo.reserve(self, part)?;
        undo.mapping.byte(mark_of(self, part.rows.start)).store(NO, Ordering::Release);
        Ok(undo.mapping.lend())
    }

    /// In a worker, before the task: copies the rows of `part` to the undo. If an earlier attempt
    /// has done this, it copies them back.
    pub(crate) fn begin(&self, undo: Name, part: &Rows) -> Result<(), ShmError> {
        let undo = Self::open(undo, Access::Write)?;
        if undo.bytes() <= mark_of(self, part.rows.start) {
            let source = std::io::Error::other("it is too short");
            return Err(ShmError::System { doing: "use", name: undo.name().to_string(), source });
        }
        let mark = undo.byte(mark_of(self, part.rows.start));
        if mark.load(Ordering::Acquire) == YES {
            copy(&undo, self, part);
        } else {
            copy(self, &undo, part);
            mark.store(YES, Ordering::Release);
        }
        Ok(())
    }

    /// In the master, when the task has failed for good and its worker no longer uses `part`:
    /// copies the old rows back if they are in the undo.
    pub(crate) fn restore(&self, part: &Rows) {
        let Some(undo) = self.undo.lock().clone() else { return };
        if undo.mapping.byte(mark_of(self, part.rows.start)).load(Ordering::Acquire) == YES {
            copy(&undo.mapping, self, part);
        }
    }
}

impl Undo {
    fn reserve(&self, array: &Mapping, part: &Rows) -> Result<(), ShmError> {
        let mut reserved = self.reserved.lock();
        for gap in gaps(&reserved.rows, &part.rows) {
            let bytes = Rows { rows: gap.clone(), ..*part }.bytes();
            with_patience(|| {
                check_room(bytes.len())?;
                self.mapping.reserve(bytes.clone())
            })?;
            include(&mut reserved.rows, gap);
        }
        let mark = mark_of(array, part.rows.start);
        if !reserved.pages.contains(&(mark / PAGE)) {
            with_patience(|| self.mapping.reserve(mark..mark + 1))?;
            reserved.pages.insert(mark / PAGE);
        }
        Ok(())
    }
}

/// Returns where in the undo the flag of a row is.
fn mark_of(array: &Mapping, row: usize) -> usize {
    array.bytes() + row
}

/// Copies the bytes of `part` from one segment to the same place in another.
fn copy(from: &Mapping, to: &Mapping, part: &Rows) {
    let bytes = part.bytes();
    // SAFETY: `part` was checked against the array. The undo is longer than the array, since a flag
    // that lies beyond the length of the array was found in it. The caller has the only right to
    // these rows, in the array and in its undo: the master has lent them to this worker, or has
    // them back. The flags are other bytes.
    let (from, mut to) = unsafe {
        (
            from.view::<u8, _>(bytes.start, Ix1(bytes.len())),
            to.view_mut::<u8, _>(bytes.start, Ix1(bytes.len())),
        )
    };
    to.assign(&from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_rows_are_kept_once_and_brought_back_as_often_as_needed() {
        let array = Mapping::create(12).unwrap();
        let part = Rows { rows: 1..3, bytes_per_row: 4 };
        let set = |bytes: [u8; 12]| {
            for (at, byte) in bytes.into_iter().enumerate() {
                array.byte(at).store(byte, Ordering::Relaxed);
            }
        };
        let get = || (0..12).map(|at| array.byte(at).load(Ordering::Relaxed)).collect::<Vec<_>>();
        for round in 1..4 {
            set([round; 12]);
            let undo = array.undo_for(&part).unwrap();
            array.restore(&part);
            assert_eq!(get(), [round; 12], "nobody has begun");
            for _ in 0..3 {
                array.begin(undo, &part).unwrap();
                assert_eq!(get()[4..], [round; 8]);
                set([9; 12]);
            }
            array.restore(&part);
            let expected: Vec<_> = [9; 4].into_iter().chain([round; 8]).collect();
            assert_eq!(get(), expected, "other rows are left alone");
        }
    }
}
