//! What a task is: ids, the name under which errors speak of it, and its options.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::{Function, FunctionRef, Payload};

/// Names one task within this process, for all its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(u64);

impl TaskId {
    /// The next id; ids grow in the order of submission and are never used again.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters, nothing else is published by the counter.
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// How often a task has been handed to a worker: 1 for the first time.
///
/// An answer names the attempt that it belongs to, which makes late answers harmless: the master takes
/// none but that of the present attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(1);

    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Names one worker of a pool. A replacement is a new worker with a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// What may be said of a task when it is submitted.
///
/// # Examples
///
/// ```
/// use farm_core::TaskOptions;
///
/// let options = TaskOptions::new().label("north plate");
/// ```
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    label: Option<Arc<str>>,
    item: Option<usize>,
}

impl TaskOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A name of the caller's own, told in errors.
    #[must_use]
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn item(mut self, index: usize) -> Self {
        self.item = Some(index);
        self
    }
}

/// The name under which errors speak of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The task.
    pub id: TaskId,
    /// The path of its function, such as `std::f64::sqrt`.
    pub function: &'static str,
    /// The index of its item, where the task is one of a `map`.
    pub item: Option<usize>,
    /// The caller's own name for it, see [`TaskOptions::label`].
    pub label: Option<Arc<str>>,
}

impl TaskName {
    /// Names a new task that calls `function`.
    pub fn new(function: Function, options: &TaskOptions) -> Self {
        Self {
            id: TaskId::next(),
            function: function.name(),
            item: options.item,
            label: options.label.clone(),
        }
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.id, self.function)?;
        if let Some(item) = self.item {
            write!(f, " on item {item}")?;
        }
        if let Some(label) = &self.label {
            write!(f, " ({label})")?;
        }
        Ok(())
    }
}

/// A task on the to-do list: which function, on which encoded argument.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name; the id in it is the key of its handle in the mailbox.
    pub name: Arc<TaskName>,
    /// The function, as it is named on the wire.
    pub function: FunctionRef,
    /// The encoded argument. It is kept until the outcome is in, so that the task can be sent again.
    pub argument: Arc<Payload>,
    /// The attempt that the task is sent as next.
    pub attempt: Attempt,
}

impl Task {
    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.name.id
    }
}
