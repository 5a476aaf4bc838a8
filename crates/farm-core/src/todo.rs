//! The to-do list: tasks that no worker has yet, first come first served.

use std::collections::{HashMap, VecDeque};

use crate::{Task, TaskId};

/// Tasks in the order in which they are to be handed out.
///
/// A task that is taken off the middle leaves a gap, which is skipped when its turn comes: cancelling
/// costs no search.
#[derive(Debug, Default)]
pub struct TodoList {
    order: VecDeque<TaskId>,
    tasks: HashMap<TaskId, Task>,
}

impl TodoList {
    /// Puts a new task at the end.
    pub fn push(&mut self, task: Task) {
        self.order.push_back(task.id());
        self.tasks.insert(task.id(), task);
    }

    /// Puts a task first: one that a lost worker had not started.
    pub fn put_back(&mut self, task: Task) {
        self.order.push_front(task.id());
        self.tasks.insert(task.id(), task);
    }

    /// The next task.
    pub fn pop(&mut self) -> Option<Task> {
        while let Some(id) = self.order.pop_front() {
            if let Some(task) = self.tasks.remove(&id) {
                return Some(task);
            }
        }
        None
    }

    /// Takes a task off the list, wherever it stands.
    pub fn remove(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id);
        // Gaps never outnumber the tasks that wait, so a list that is cancelled in turn stays small.
        if self.order.len() > 2 * self.tasks.len() + 16 {
            self.order.retain(|id| self.tasks.contains_key(id));
        }
        task
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
