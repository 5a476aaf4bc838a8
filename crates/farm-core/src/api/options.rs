//! The options of a task.

use std::sync::Arc;
use std::time::Duration;

/// The options of a task.
///
/// An option that is not set has the value that was given to the pool's builder, or else the
/// default below. A pool that cannot honour an option refuses the task with
/// [`TaskError::Unsupported`](crate::api::error::TaskError::Unsupported). The exception is
/// `farm-mono`, which ignores timeouts, because it is used with debuggers.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use farm_core::TaskOptions;
///
/// let options =
///     TaskOptions::new().label("north plate").timeout(Duration::from_secs(10)).retries(2);
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
    /// Makes options of which none is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a name for the task, which its errors contain.
    #[must_use]
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets how long one attempt may take. A task that takes longer is stopped together with its
    /// worker.
    ///
    /// There is no limit by default, and `Duration::MAX` is no limit either.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how often the task is started again after its worker has died while running it; 0 by
    /// default.
    ///
    /// The function must allow for being run again: what an earlier attempt has written outside the
    /// farm, for example to a file, is still there. The rows of a [band] are restored.
    ///
    /// [band]: https://docs.rs/farm-shm
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets whether the task is started again after a panic, too. By default it is not, since most
    /// panics occur again. The number of [`retries`](Self::retries) is for all failures together.
    #[must_use]
    pub fn retry_panics(mut self, retry: bool) -> Self {
        self.retry_panics = Some(retry);
        self
    }

    /// Sets whether the task is started again after it has exceeded its time limit, too. By default
    /// it is not.
    #[must_use]
    pub fn retry_timeouts(mut self, retry: bool) -> Self {
        self.retry_timeouts = Some(retry);
        self
    }

    /// Returns these options, completed by those of `defaults` that are not set here.
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

    /// Returns the options about time and failures.
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

/// The time limit of a task, and when it is started again; see [`TaskOptions`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long one attempt may take; `None` for no limit.
    pub timeout: Option<Duration>,
    /// How many failures are followed by another attempt.
    pub retries: u32,
    /// Whether another attempt follows also after a panic.
    pub retry_panics: bool,
    /// Whether another attempt follows also after the time limit was exceeded.
    pub retry_timeouts: bool,
}
