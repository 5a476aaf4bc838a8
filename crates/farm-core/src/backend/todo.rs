//! The to-do list: the tasks that no worker has, in the order of submission.

use crate::backend::id_queue::IdQueue;
use crate::backend::task::{Task, TaskId};

/// Tasks in the order in which workers are to get them. Tasks that a worker was given and has not
/// run come before later ones, because they are older. The rest of a batch may be on the list in
/// several parts.
#[derive(Debug, Default)]
pub(crate) struct TodoList(IdQueue<(TaskId, u32), Task>);

impl TodoList {
    pub(crate) fn push(&mut self, task: Task) {
        self.0.insert((task.id(), task.items.start), task);
    }

    /// Removes and returns the first task.
    pub(crate) fn pop(&mut self) -> Option<Task> {
        self.0.pop()
    }

    /// The id of the first task.
    pub(crate) fn first(&self) -> Option<TaskId> {
        self.0.first().map(|(task, _)| task)
    }

    /// Removes all parts of a task, wherever they are on the list.
    pub(crate) fn remove(&mut self, id: TaskId) -> Vec<Task> {
        self.0.remove_from((id, 0), |(task, _)| task == id)
    }

    /// The number of tasks, parts of batches counted as one each.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
