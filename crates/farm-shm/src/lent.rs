//! [`Lent`]: what the handles of a task share in a worker.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use farm_core::loan::{Borrowed, Key, StrandedLoans};
use parking_lot::Mutex;

use crate::segment::Mapping;

/// Rows that the master has lent to a task. All handles and clones that the task makes of them
/// share one `Lent`, so that a handle which is kept beyond the task can be found.
pub(crate) struct Lent {
    /// The key of the loan in the master.
    pub(crate) key: Key,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) rows: Range<usize>,
    /// The type of the handle, for messages.
    pub(crate) handle: &'static str,
    stranded: Mutex<Option<StrandedLoans>>,
}

impl Lent {
    pub(crate) fn new(
        key: Key,
        mapping: Arc<Mapping>,
        rows: Range<usize>,
        handle: &'static str,
    ) -> Self {
        Self { key, mapping, rows, handle, stranded: Mutex::default() }
    }
}

impl Borrowed for Lent {
    fn strand(&self, loans: StrandedLoans) {
        *self.stranded.lock() = Some(loans);
    }
}

impl fmt::Display for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mapping, rows, handle, .. } = self;
        write!(f, "{handle} of rows {rows:?} of {}", mapping.name())
    }
}
