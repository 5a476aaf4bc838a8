//! The mailbox: for each task that is not done, where its outcome belongs and which arrays are out
//! with it.

use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use crate::api::error::TaskError;
use crate::backend::id_queue::IdQueue;
use crate::backend::payload::Payload;
use crate::backend::slot::Deliver;
use crate::backend::task::TaskId;
use crate::loan;
use crate::loan::Loans;

/// The places of all outcomes that a pool still owes.
#[derive(Default)]
pub struct Mailbox {
    entries: IdQueue<TaskId, Entry>,
}

struct Entry {
    slot: Arc<dyn Deliver>,
    loans: Loans,
    sent: bool,
    /// How many items have no outcome yet.
    owed: usize,
}

/// An outcome on its last steps to its slot.
///
/// It is handed out rather than delivered in place, because it may drop what is lent and what nobody asks for, which is
/// foreign code: no pool may hold its lock then.
#[must_use]
pub struct Delivery {
    slot: Arc<dyn Deliver>,
    items: Range<u32>,
    loans: Loans,
    sent: bool,
    outcome: Result<Payload, TaskError>,
}

impl Mailbox {
    /// Opens a place for the outcomes of `task`, which has so many items.
    pub fn expect(&mut self, task: TaskId, items: usize, slot: Arc<dyn Deliver>, loans: Loans) {
        self.entries.insert(task, Entry { slot, loans, sent: false, owed: items });
    }

    /// Notes that `task` is about to be handed to a worker.
    pub fn mark_sent(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(task) {
            entry.sent = true;
        }
    }

    /// Leaves the arrays that are out with `task`, which has just run on this thread, out until what it has kept
    /// of them is gone.
    pub fn strand(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(task) {
            entry.loans.mark_lost();
            loan::strand(std::mem::take(&mut entry.loans));
        }
    }

    /// Takes in the outcome of some items of `task`, and closes its place with the last; `None` if it is closed already.
    pub fn close(
        &mut self,
        task: TaskId,
        items: Range<u32>,
        outcome: Result<Payload, TaskError>,
    ) -> Option<Delivery> {
        let entry = self.entries.get_mut(task)?;
        entry.owed = entry.owed.saturating_sub(items.len());
        if entry.owed > 0 {
            let slot = entry.slot.clone();
            // A batch has no loans.
            let loans = Loans::default();
            return Some(Delivery { slot, items, loans, sent: entry.sent, outcome });
        }
        let Entry { slot, loans, sent, .. } = self.entries.remove(task)?;
        Some(Delivery { slot, items, loans, sent, outcome })
    }

    /// How many tasks are owed an outcome.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is owed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Delivery {
    /// The error to be delivered, if it is one.
    pub fn error(&self) -> Option<&TaskError> {
        self.outcome.as_ref().err()
    }

    /// Tells the arrays what became of the task, then fills the slot. As [`Deliver::deliver`].
    #[must_use]
    pub fn deliver(mut self) -> Option<Waker> {
        if let Err(error) = &self.outcome
            && self.sent
            && error.leaves_torn_rows()
        {
            self.loans.mark_lost();
        }
        self.slot.deliver(self.items, self.outcome, self.loans)
    }
}
