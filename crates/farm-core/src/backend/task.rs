//! What a task is: ids, the name under which errors speak of it, and its options.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::api::options::{Policy, TaskOptions};
use crate::backend::payload::Payload;
use crate::wire::function::{Function, FunctionRef};

/// Names one task within this process, for all its pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(u64);

impl TaskId {
    /// The next id; ids grow in the order of submission and are never used again.
    pub fn next() -> Self {
        Self::first_of(1)
    }

    /// The id as a number, for a transport.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The id that has this number.
    pub fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The first of the next `n` ids.
    pub(crate) fn first_of(n: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only uniqueness matters, nothing else is published by the counter.
        Self(NEXT.fetch_add(n, Ordering::Relaxed))
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
        Self(self.0.wrapping_add(1))
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

impl TaskName {
    /// Names a batch of so many items, each of which has an id.
    pub(crate) fn of_many(function: Function, options: &TaskOptions, items: u32) -> Self {
        let (item, label) = (options.item, options.label.clone());
        Self { id: TaskId::first_of(u64::from(items)), function: function.name(), item, label }
    }

    /// The name of an item of the batch that has this name: ids and items are counted on from those of the first.
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

/// A task on the to-do list: which function, on which encoded argument.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name; the id in it is the key of its handle in the mailbox.
    pub name: Arc<TaskName>,
    /// The function, as it is named on the wire.
    pub function: FunctionRef,
    /// The encoded argument. It is kept until the outcome is in, so that the task can be sent again. That of an
    /// batch is as [`Batch`](crate::wire::batch::Batch) has it.
    pub argument: Payload,
    /// Which items of its batch this is; `0..1` for a task by itself.
    pub items: Range<u32>,
    /// How many items there are in the batch; `None` for a task by itself.
    pub batch: Option<u32>,
    /// The attempt that the task is sent as next.
    pub attempt: Attempt,
    /// How many attempts have failed. This is not the number of those before this one: a task that was
    /// sent to a worker which died before taking it up has not failed.
    pub failures: u32,
    /// When it is to be given up.
    pub policy: Policy,
}

impl Task {
    /// A task by itself, which has never been sent.
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

    /// The task's id; that of its batch, if it is in one.
    pub fn id(&self) -> TaskId {
        self.name.id
    }

    /// Whether it is a batch, or a part of one.
    pub fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// The items `items` of it, as a task for a further attempt.
    pub(crate) fn part(&self, items: Range<u32>) -> Self {
        Self { items, attempt: self.attempt.next(), ..self.clone() }
    }

    /// The names of its items.
    pub fn names(&self) -> impl Iterator<Item = Arc<TaskName>> {
        self.items.clone().map(|item| self.name_of(item))
    }

    /// The name of its item `item`.
    pub(crate) fn name_of(&self, item: u32) -> Arc<TaskName> {
        if self.is_batch() { Arc::new(self.name.of_item(item)) } else { self.name.clone() }
    }
}
