//! The mailbox: for each task that is not done, where its outcome belongs and which arrays are out
//! with it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::{Deliver, Passengers, Payload, TaskError, TaskId, passenger};

/// The places of all outcomes that a pool still owes.
#[derive(Default)]
pub struct Mailbox {
    entries: HashMap<TaskId, Entry>,
}

struct Entry {
    slot: Arc<dyn Deliver>,
    passengers: Passengers,
    sent: bool,
}

/// An outcome on its last steps to its slot.
///
/// It is handed out rather than delivered in place, because delivering wakes futures, which is foreign
/// code: no pool may hold its lock then.
#[must_use]
pub struct Delivery {
    entry: Entry,
    outcome: Result<Payload, TaskError>,
}

impl Mailbox {
    /// Opens a place for the outcome of `task`.
    pub fn expect(&mut self, task: TaskId, slot: Arc<dyn Deliver>, passengers: Passengers) {
        self.entries.insert(task, Entry { slot, passengers, sent: false });
    }

    /// Notes that `task` is about to be handed to a worker.
    pub fn sent(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.sent = true;
        }
    }

    /// Leaves the arrays that are out with `task`, which has just run on this thread, out until what it has kept
    /// of them is gone.
    pub fn strand(&mut self, task: TaskId) {
        if let Some(entry) = self.entries.get_mut(&task) {
            entry.passengers.lost();
            passenger::strand(std::mem::take(&mut entry.passengers));
        }
    }

    /// Closes the place of `task`; `None` if it is closed already.
    pub fn close(&mut self, task: TaskId, outcome: Result<Payload, TaskError>) -> Option<Delivery> {
        self.entries.remove(&task).map(|entry| Delivery { entry, outcome })
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

    /// Tells the arrays what became of the task, then fills the slot.
    pub fn deliver(mut self) {
        if let Err(error) = &self.outcome
            && self.entry.sent
            && error.leaves_torn_rows()
        {
            self.entry.passengers.lost();
        }
        self.entry.slot.deliver(self.outcome, self.entry.passengers);
    }
}
