//! Tasks, their ids, and the names that errors use for them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::api::options::{Policy, TaskOptions};
use crate::backend::payload::Payload;
use crate::wire::function::{Function, FunctionRef};

/// The id of a task. It is unique within this process, for all its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(u64);

impl TaskId {
    /// Returns a new id. Ids grow in the order of submission, and none is used twice.
    pub fn next() -> Self {
        Self::first_of(1)
    }

    /// Returns the id as a number, for a transport.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the id that has this number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the first of `n` new ids that follow one another.
    pub(crate) fn first_of(n: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters, and the counter orders no other memory.
        Self(NEXT.fetch_add(n, Ordering::Relaxed))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

/// The number of an attempt to run a task: 1 for the first.
///
/// An answer names its attempt, so late answers do no harm: the master accepts only answers of the
/// present attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The first attempt.
    pub const FIRST: Self = Self(1);

    /// Returns the attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// The id of a worker in its pool. A worker that replaces another has a new id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId(pub u32);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// The name that errors use for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskName {
    /// The id of the task.
    pub id: TaskId,
    /// The path of the function, such as `std::f64::sqrt`.
    pub function: &'static str,
    /// The index of the item, if the task is one of a `map`.
    pub item: Option<usize>,
    /// The name that the program has given to the task; see [`TaskOptions::label`].
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

impl TaskName {
    /// Names a new batch. Each of its items gets an id.
    pub(crate) fn of_many(function: Function, options: &TaskOptions, items: u32) -> Self {
        let (item, label) = (options.item, options.label.clone());
        Self { id: TaskId::first_of(u64::from(items)), function: function.name(), item, label }
    }

    /// The name of an item of the batch that has this name. Ids and indices of items count on from
    /// those of the first item.
    pub(crate) fn of_item(&self, item: u32) -> Self {
        let index = self.item.map(|first| first + item as usize);
        Self { id: TaskId(self.id.0 + u64::from(item)), item: index, ..self.clone() }
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

/// A task as the master sends it: a function and an encoded argument.
#[derive(Clone, Debug)]
pub struct Task {
    /// The name of the task. The id in it is the key in the mailbox.
    pub name: Arc<TaskName>,
    /// The function, as messages name it.
    pub function: FunctionRef,
    /// The encoded argument. It is kept until the outcome has arrived, so that the task can be sent
    /// again. The argument of a batch is an encoded [`Batch`](crate::wire::batch::Batch).
    pub argument: Payload,
    /// Which items of its batch this task is; `0..1` for a task of its own.
    pub items: Range<u32>,
    /// The number of items in the batch; `None` for a task of its own.
    pub batch: Option<u32>,
    /// The attempt as which the task is sent next.
    pub attempt: Attempt,
    /// The number of attempts that have failed. There may have been more attempts: a task that was
    /// sent to a worker which died before taking it up has not failed.
    pub failures: u32,
    /// The time limit, and which failures are followed by another attempt.
    pub policy: Policy,
}

impl Task {
    /// Makes a task of its own, which was never sent.
    pub fn new(
        name: Arc<TaskName>,
        function: FunctionRef,
        argument: Payload,
        policy: Policy,
    ) -> Self {
        Self {
            name,
            function,
            argument,
            items: 0..1,
            batch: None,
            attempt: Attempt::FIRST,
            failures: 0,
            policy,
        }
    }

    /// Returns the id of the task; that of its batch, if it is in one.
    pub fn id(&self) -> TaskId {
        self.name.id
    }

    /// Returns whether the task is a batch or a part of one.
    pub fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// Some items of the task, as a task for another attempt.
    pub(crate) fn part(&self, items: Range<u32>) -> Self {
        Self { items, attempt: self.attempt.next(), ..self.clone() }
    }

    /// Returns the names of the items.
    pub fn names(&self) -> impl Iterator<Item = Arc<TaskName>> {
        self.items.clone().map(|item| self.name_of(item))
    }

    /// The name of one item.
    pub(crate) fn name_of(&self, item: u32) -> Arc<TaskName> {
        if self.is_batch() { Arc::new(self.name.of_item(item)) } else { self.name.clone() }
    }
}
