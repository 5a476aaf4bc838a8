//! The mailbox: for each task that has not finished, the slot to which its outcome is delivered,
//! and its loans.

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

/// The slots and loans of all tasks of a pool that have not finished.
#[derive(Default)]
pub struct Mailbox {
    entries: IdQueue<TaskId, Entry>,
}

struct Entry {
    slot: Arc<dyn Deliver>,
    loans: Loans,
    sent: bool,
    /// The number of items that have no outcome yet.
    owed: usize,
}

/// An outcome that is ready to be delivered.
///
/// The mailbox returns it instead of delivering it, because delivering may drop loans and results
/// that nobody asks for. That is foreign code, so no pool may hold its lock meanwhile.
#[must_use]
pub struct Delivery {
    slot: Arc<dyn Deliver>,
    items: Range<u32>,
    loans: Loans,
    sent: bool,
    outcome: Result<Payload, TaskError>,
}

impl Mailbox {
    /// Adds `task`, which has so many items.
    pub fn expect(&mut self, task: TaskId, items: usize, slot: Arc<dyn Deliver>, loans: Loans) {
        self.entries.insert(task, Entry { slot, loans, sent: false, owed: items });
    }

    /// Notes that `task` is about to be given to a worker.
    pub fn mark_sent(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(task) {
            entry.sent = true;
        }
    }

    /// Leaves the loans of `task`, which has just run on this thread, to the handles that have
    /// escaped from it. The loans are dropped with the last of these handles.
    pub fn strand(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(task) {
            entry.loans.mark_lost();
            loan::strand(std::mem::take(&mut entry.loans));
        }
    }

    /// Accepts the outcome of some items of `task`, and removes the task after its last item.
    /// Returns `None` if the task is not there any more.
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

    /// Returns the number of tasks that have not finished.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether all tasks have finished.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Delivery {
    /// Returns the error that is to be delivered, if the outcome is one.
    pub fn error(&self) -> Option<&TaskError> {
        self.outcome.as_ref().err()
    }

    /// Tells the loans what has become of the task, and fills the slot. Returns a waker as
    /// [`Deliver::deliver`] does.
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
