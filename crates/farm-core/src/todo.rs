//! The to-do list: tasks that no worker has yet, first come first served.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::{Task, TaskId};

/// Tasks in the order in which they are to be handed out.
///
/// A task that is taken off the middle leaves a gap, which is skipped when its turn comes: cancelling
/// costs no search. What is left of an envelope may be in several parts.
#[derive(Debug, Default)]
pub struct TodoList {
    order: VecDeque<(TaskId, u32)>,
    tasks: FxHashMap<(TaskId, u32), Task>,
    /// How many of them are envelopes, or parts of one.
    envelopes: usize,
}

/// Where a task stands: several parts of one envelope begin at different items.
fn place(task: &Task) -> (TaskId, u32) {
    (task.id(), task.items.start)
}

impl TodoList {
    /// Puts a new task at the end.
    pub fn push(&mut self, task: Task) {
        self.order.push_back(place(&task));
        self.insert(task);
    }

    /// Puts a task first: one that a worker had been given and has not started.
    pub fn put_back(&mut self, task: Task) {
        self.order.push_front(place(&task));
        self.insert(task);
    }

    fn insert(&mut self, task: Task) {
        self.envelopes += usize::from(task.is_envelope());
        self.tasks.insert(place(&task), task);
    }

    /// The next task.
    pub fn pop(&mut self) -> Option<Task> {
        while let Some(place) = self.order.pop_front() {
            if let Some(task) = self.tasks.remove(&place) {
                self.envelopes -= usize::from(task.is_envelope());
                return Some(task);
            }
        }
        None
    }

    /// Which task is next.
    pub fn first(&mut self) -> Option<TaskId> {
        while let Some(place) = self.order.front() {
            if self.tasks.contains_key(place) {
                return Some(place.0);
            }
            self.order.pop_front();
        }
        None
    }

    /// Takes a task off the list, wherever it stands, with all its parts.
    pub fn remove(&mut self, id: TaskId) -> Vec<Task> {
        let mut removed: Vec<_> = self.tasks.remove(&(id, 0)).into_iter().collect();
        if self.envelopes > 0 {
            removed.extend(self.tasks.extract_if(|place, _| place.0 == id).map(|(_, task)| task));
            self.envelopes -= removed.iter().filter(|task| task.is_envelope()).count();
        }
        // Gaps never outnumber the tasks that wait, so a list that is cancelled in turn stays small.
        if self.order.len() > 2 * self.tasks.len() + 16 {
            self.order.retain(|place| self.tasks.contains_key(place));
        }
        removed
    }

    /// How many tasks wait.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }
}
