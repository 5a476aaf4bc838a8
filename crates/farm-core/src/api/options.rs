//! What a program may say of a task when it submits it.

use std::sync::Arc;
use std::time::Duration;

/// What may be said of a task when it is submitted.
///
/// What is left open is as the pool's builder says, and else as the methods here say. A pool that cannot
/// honour an option refuses the task with [`TaskError::Unsupported`](crate::api::error::TaskError::Unsupported); none
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
    pub(crate) label: Option<Arc<str>>,
    pub(crate) item: Option<usize>,
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
