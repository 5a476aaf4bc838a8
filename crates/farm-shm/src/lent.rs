//! What a worker has of a handle for as long as its task runs.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use farm_core::loan::{Borrowed, Key, StrandedLoans};
use parking_lot::Mutex;

use crate::segment::Mapping;

/// Rows that the master has lent to a task. All handles and clones that the task makes of them share it, so that
/// one which is kept beyond the task is found.
pub(crate) struct Lent {
    /// By which the master knows what it has lent.
    pub(crate) key: Key,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) rows: Range<usize>,
    /// As what.
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
