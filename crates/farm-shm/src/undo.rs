//! The old rows of bands, so that a task which is started again finds them as it did the first time.
//!
//! They are in a segment beside the array's, which is laid out like it and has one byte more for each row. The
//! byte of a band's first row says whether its old rows are there:
//!
//! ```text
//! master, when it encodes the band:  no
//! worker, before the task begins:    no  ─▶ copy the rows into the undo, then say yes
//!                                    yes ─▶ a task has been here and failed: copy them back
//! master, at the end of a task that has failed for good: yes ─▶ copy them back
//! ```
//!
//! So a task that dies while the rows are being copied has not touched them, and one that dies later finds them
//! in the undo; a death while they are copied back changes neither. The same message serves each attempt. Rows are
//! lent again only when the former worker is dead, or has answered and holds nothing of them any more.

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

/// What there is room for.
#[derive(Default)]
struct Reserved {
    /// These rows, in ranges that are apart from each other.
    rows: Vec<Range<usize>>,
    /// The marks on these pages.
    pages: BTreeSet<usize>,
}

/// No page is smaller.
const PAGE: usize = 4096;

/// A part of an array: which rows, and how many bytes each has.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub(crate) rows: Range<usize>,
    pub(crate) bytes_per_row: usize,
}

impl Rows {
    fn bytes(&self) -> Range<usize> {
        self.rows.start * self.bytes_per_row..self.rows.end * self.bytes_per_row
    }

    /// Nothing can be overwritten in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

impl Mapping {
    /// In the master: sees to it that a worker can keep the old rows of `part`, and where.
    pub(crate) fn undo_for(&self, part: &Rows) -> Result<Name, ShmError> {
        let mut undo = self.undo.lock();
        let undo = match &*undo {
            Some(undo) => undo,
            None => {
                // A row has a byte at least, so there are no more of them than bytes.
                let bytes = mark_of(self, self.bytes() / part.bytes_per_row);
                let mapping = Self::create_sparse(bytes)?;
                undo.insert(Arc::new(Undo { mapping, reserved: Mutex::default() }))
            }
        };
        undo.reserve(self, part)?;
        undo.mapping.byte(mark_of(self, part.rows.start)).store(NO, Ordering::Release);
        Ok(undo.mapping.lend())
    }

    /// In a worker, before the task: keeps the old rows of `part`, or brings them back.
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

    /// In the master, when the task has failed for good and its worker is done with `part`: brings the old rows
    /// back if the task may have touched them.
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

/// Where the byte of a row is.
fn mark_of(array: &Mapping, row: usize) -> usize {
    array.bytes() + row
}

/// Copies the bytes of a part to the same place in another segment.
fn copy(from: &Mapping, to: &Mapping, part: &Rows) {
    let bytes = part.bytes();
    // SAFETY: the part was checked against the array, and the undo, which is larger, against the mark behind it.
    // Whoever calls has the only right to these rows, in the array as in its undo: the master has lent them to this
    // worker, or has them back. The bytes of the marks are others.
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
