//! What a task is: ids, the name under which errors speak of it, and its options.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Function, FunctionRef, Payload};

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

/// What may be said of a task when it is submitted.
///
/// What is left open is as the pool's builder says, and else as the methods here say. A pool that cannot
/// honour an option refuses the task with [`TaskError::Unsupported`](crate::TaskError::Unsupported); none
/// is ignored in silence, but for `farm-mono`, which lets a task take its time, because that is where
/// debuggers are used.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use farm_core::TaskOptions;
///
/// let options = TaskOptions::new().label("north plate").timeout(Duration::from_secs(10)).retries(2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct TaskOptions {
    label: Option<Arc<str>>,
    item: Option<usize>,
    timeout: Option<Duration>,
    retries: Option<u32>,
    retry_panics: Option<bool>,
    retry_timeouts: Option<bool>,
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

    /// How long one attempt may take; a task that takes longer is stopped together with its worker. No
    /// limit by default; `Duration::MAX` is none either.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How often the task is started again when the worker that runs it dies; 0 by default.
    ///
    /// A task that is started again must do no harm by having been started before: what it wrote outside
    /// the farm, to a file say, is still there. The rows of a [band] are put back as they were.
    ///
    /// [band]: https://docs.rs/farm-shm
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Whether the task is started again when it panics, too; not by default, since most panics come
    /// again.
    #[must_use]
    pub fn retry_panics(mut self, retry: bool) -> Self {
        self.retry_panics = Some(retry);
        self
    }

    /// Whether the task is started again when it has run over its time, too; not by default.
    #[must_use]
    pub fn retry_timeouts(mut self, retry: bool) -> Self {
        self.retry_timeouts = Some(retry);
        self
    }

    /// These options, with what they leave open taken from `defaults`.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            label: self.label.or_else(|| defaults.label.clone()),
            item: self.item.or(defaults.item),
            timeout: self.timeout.or(defaults.timeout),
            retries: self.retries.or(defaults.retries),
            retry_panics: self.retry_panics.or(defaults.retry_panics),
            retry_timeouts: self.retry_timeouts.or(defaults.retry_timeouts),
        }
    }

    /// What they say of failures and time.
    pub fn policy(&self) -> Policy {
        Policy {
            timeout: self.timeout,
            retries: self.retries.unwrap_or(0),
            retry_panics: self.retry_panics.unwrap_or(false),
            retry_timeouts: self.retry_timeouts.unwrap_or(false),
        }
    }

    pub(crate) fn item(mut self, index: usize) -> Self {
        self.item = Some(index);
        self
    }
}

/// How long a task may take, and when it is started again; see [`TaskOptions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// How many failures are forgiven.
    pub retries: u32,
    /// Whether panics are among them.
    pub retry_panics: bool,
    /// Whether timeouts are among them.
    pub retry_timeouts: bool,
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
    /// Names an envelope of so many items, each of which has an id.
    pub(crate) fn of_many(function: Function, options: &TaskOptions, items: u32) -> Self {
        let (item, label) = (options.item, options.label.clone());
        Self { id: TaskId::first_of(u64::from(items)), function: function.name(), item, label }
    }

    /// The name of an item of the envelope that has this name: ids and items are counted on from those of the first.
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
    /// envelope is as [`Envelope`](crate::Envelope) has it.
    pub argument: Payload,
    /// Which items of its envelope this is; `0..1` for a task by itself.
    pub items: Range<u32>,
    /// How many items there are in the envelope; `None` for a task by itself.
    pub envelope: Option<u32>,
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
            envelope: None,
            attempt: Attempt::FIRST,
            failures: 0,
            policy,
        }
    }

    /// The task's id; that of its envelope, if it is in one.
    pub fn id(&self) -> TaskId {
        self.name.id
    }

    /// Whether it is an envelope, or a part of one.
    pub fn is_envelope(&self) -> bool {
        self.envelope.is_some()
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
        if self.is_envelope() { Arc::new(self.name.of_item(item)) } else { self.name.clone() }
    }
}
