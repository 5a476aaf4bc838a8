//! The to-do list: tasks that no worker has yet, in the order in which they were submitted.

use crate::backend::id_queue::IdQueue;
use crate::backend::task::{Task, TaskId};

/// Tasks in the order in which they are to be handed out: those that a worker had been given and has not done come first,
/// because they are older. What is left of a batch may be in several parts.
#[derive(Debug, Default)]
pub(crate) struct TodoList(IdQueue<(TaskId, u32), Task>);

impl TodoList {
    pub(crate) fn push(&mut self, task: Task) {
        self.0.insert((task.id(), task.items.start), task);
    }

    /// The next task.
    pub(crate) fn pop(&mut self) -> Option<Task> {
        self.0.pop()
    }

    /// Which task is next.
    pub(crate) fn first(&self) -> Option<TaskId> {
        self.0.first().map(|(task, _)| task)
    }

    /// Takes a task off the list, wherever it stands, with all its parts.
    pub(crate) fn remove(&mut self, id: TaskId) -> Vec<Task> {
        self.0.remove_from((id, 0), |(task, _)| task == id)
    }

    /// How many tasks wait.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
