//! [`Split`]: the owner of an array while its bands exist.
//!
//! Each part of a split has one of these states. Only the master stores them, so the death of a
//! worker cannot corrupt them.
//!
//! ```text
//! Held ──task fails, or a panic unwinds──▶ Torn
//!   ├──task fails that has an undo───────▶ Undone
//!   └──band is dropped───────────────────▶ Free
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::Dimension;
use parking_lot::Mutex;

use crate::segment::bytes_of;
use crate::{Band, Element, JoinError, SharedArray, SplitError, undo};

/// Owns an array while its bands exist, so that the loss of a band never loses the array.
pub struct Split<T: Element, D: Dimension> {
    array: SharedArray<T, D>,
    parts: Arc<Parts>,
}

/// The result of splitting an array: its [`Split`], and the bands in the order of the ranges.
pub type Bands<T, D> = (Split<T, D>, Vec<Band<T, D>>);

/// The parts of one split.
pub(crate) struct Parts {
    pub(crate) rows: Vec<Range<usize>>,
    states: Mutex<Vec<PartState>>,
}

#[derive(Clone, Copy, PartialEq)]
enum PartState {
    /// The band of the part exists, in this process or with a task.
    Held,
    /// The band was dropped. The rows are as the band has left them.
    Free,
    /// The band was dropped. A task may have stopped while it was writing to the rows.
    Torn,
    /// As `Torn`, but the rows that the task may have overwritten are in the undo.
    Undone,
}

/// The right to write to one part. Each part has one lease.
pub(crate) struct Lease {
    parts: Arc<Parts>,
    index: usize,
    /// The state that the part gets when the lease is dropped.
    end: Mutex<PartState>,
}

impl Lease {
    /// Notes that the task that has the band has failed. `undo` says whether its old rows were
    /// kept.
    pub(crate) fn tear(&self, undo: bool) {
        *self.end.lock() = if undo { PartState::Undone } else { PartState::Torn };
    }

    pub(crate) fn rows(&self) -> Range<usize> {
        self.parts.rows[self.index].clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let end = *self.end.get_mut();
        let is_torn = end == PartState::Free && farm_core::loan::is_failing();
        self.parts.states.lock()[self.index] = if is_torn { PartState::Torn } else { end };
    }
}

/// An array that was put together without all of its bands.
#[derive(Debug)]
pub struct Recovered<T: Element, D: Dimension> {
    /// The whole array.
    pub array: SharedArray<T, D>,
    /// The rows in which a task may have stopped while it was writing. All other rows are as their
    /// tasks have left them, or were restored.
    pub torn: Vec<Range<usize>>,
}

impl<T: Element, D: Dimension> Split<T, D> {
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub(crate) fn cut(
        array: SharedArray<T, D>,
        rows: Vec<Range<usize>>,
    ) -> Result<Bands<T, D>, SplitError<T, D>> {
        if let Some((rows, reason)) = first_bad(&rows, array.shape().first().copied()) {
            return Err(SplitError { array, rows, reason });
        }
        let states = Mutex::new(vec![PartState::Held; rows.len()]);
        let parts = Arc::new(Parts { rows, states });
        let bands = (0..parts.rows.len())
            .map(|index| {
                let end = Mutex::new(PartState::Free);
                let lease = Lease { parts: parts.clone(), index, end };
                Band::home(Arc::new(lease), array.mapping.clone(), &array.shape)
            })
            .collect();
        Ok((Self { array, parts }, bands))
    }

    /// Puts the array together again.
    ///
    /// # Errors
    ///
    /// Hands everything back if a band is missing, or if one is of another split.
    #[allow(clippy::result_large_err, reason = "it hands split and bands back")]
    pub fn join(self, bands: Vec<Band<T, D>>) -> Result<SharedArray<T, D>, JoinError<T, D>> {
        let own = bands.iter().filter(|band| band.is_of(&self.parts)).count();
        let (missing, foreign) = (self.parts.rows.len() - own, bands.len() - own);
        if missing > 0 || foreign > 0 {
            return Err(JoinError { split: self, bands, missing, foreign });
        }
        Ok(self.array)
    }

    /// Puts the array together without the bands that were lost or dropped, and returns the rows
    /// that are not to be trusted. If a failed task was allowed to be retried, the old rows of its
    /// [`Band`] were kept for that, and are restored.
    ///
    /// # Errors
    ///
    /// Hands the split back while a band exists, in this process or with a task.
    #[allow(clippy::result_large_err, reason = "it hands the split back")]
    pub fn recover(self) -> Result<Recovered<T, D>, Self> {
        let states = self.parts.states.lock().clone();
        if states.contains(&PartState::Held) {
            return Err(self);
        }
        let row = bytes_of::<T>(&self.array.shape()[1..]).unwrap_or(0);
        let mut torn = Vec::new();
        for (rows, state) in self.parts.rows.iter().zip(states) {
            match state {
                PartState::Torn => torn.push(rows.clone()),
                PartState::Undone => self
                    .array
                    .mapping
                    .restore(&undo::Rows { rows: rows.clone(), bytes_per_row: row }),
                PartState::Held | PartState::Free => {}
            }
        }
        Ok(Recovered { array: self.array, torn })
    }
}

impl Parts {
    pub(crate) fn own(self: &Arc<Self>, lease: &Lease) -> bool {
        Arc::ptr_eq(self, &lease.parts)
    }
}

fn first_bad(rows: &[Range<usize>], n: Option<usize>) -> Option<(Range<usize>, &'static str)> {
    let Some(n) = n else { return Some((0..0, "an array without axes has no rows")) };
    if let Some(bad) = rows.iter().find(|rows| rows.start > rows.end) {
        return Some((bad.clone(), "it runs backward"));
    }
    if let Some(bad) = rows.iter().find(|rows| rows.end > n) {
        return Some((bad.clone(), "it goes beyond the last row"));
    }
    let mut sorted: Vec<_> = rows.iter().filter(|rows| !rows.is_empty()).collect();
    sorted.sort_by_key(|rows| rows.start);
    let overlap = sorted.windows(2).find(|pair| pair[1].start < pair[0].end)?;
    Some((overlap[1].clone(), "another band has some of these rows"))
}

impl<T: Element, D: Dimension> fmt::Debug for Split<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Split({:?} into {:?})", self.array, self.parts.rows)
    }
}
