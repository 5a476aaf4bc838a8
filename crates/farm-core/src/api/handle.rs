//! The handle of a submitted task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::api::error::TaskError;
use crate::backend::master::CancelScope;
use crate::backend::pool_ref::{PoolRef, reach};
use crate::backend::slot::Slot;
use crate::backend::task::TaskName;
use crate::backend::wakers::wake_here;
use crate::wire::function::Data;

/// The handle of one submitted task, by which its outcome is waited for and taken. It is also a
/// [`Future`].
///
/// Dropping a handle does not cancel the task: it runs, and its result is discarded.
///
/// # Examples
///
/// ```
/// # fn demo(pool: &impl farm_core::Farm) -> Result<(), farm_core::FarmError> {
/// let handle = pool.submit(f64::sqrt, 2.0);
/// let root = handle.get()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "the result is thrown away; use `for_each` where there is none"]
pub struct TaskHandle<R> {
    slot: Arc<Slot<R>>,
    pool: Option<Weak<dyn PoolRef>>,
    bytes: usize,
}

impl<R> TaskHandle<R> {
    /// Makes the handle of a task of `pool` whose outcome will be put into `slot`. The encoded
    /// argument takes `bytes` bytes in the pool.
    pub fn new(slot: Arc<Slot<R>>, pool: Option<Weak<dyn PoolRef>>, bytes: usize) -> Self {
        Self { slot, pool, bytes }
    }

    /// Makes the handle of a task that has failed before it was sent.
    pub fn failed(error: TaskError) -> Self {
        let slot = Slot::new(error.task().clone());
        // The slot is new, so no waker waits for it.
        let _ = slot.fill(Err(error));
        Self::new(Arc::new(slot), None, 0)
    }

    /// Returns the name of the task.
    pub fn task(&self) -> &TaskName {
        self.slot.task()
    }

    /// Returns whether the outcome has arrived.
    pub fn is_ready(&self) -> bool {
        self.slot.is_ready()
    }

    /// Waits until the outcome has arrived.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Waits until the outcome has arrived or the deadline has passed; returns whether it has
    /// arrived.
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if !self.is_ready()
            && let Some(pool) = self.reach_pool()
        {
            pool.drive(&*self.slot, deadline);
        }
        self.slot.wait(deadline)
    }

    /// Returns the pool, if it still exists. In a fork of the pool's process, the outcome becomes
    /// an error, because no other will arrive.
    fn reach_pool(&self) -> Option<Arc<dyn PoolRef>> {
        reach(self.pool.as_ref()).unwrap_or_else(|reason| {
            let task = self.slot.task().clone();
            wake_here(self.slot.fill(Err(TaskError::NoWorkers { task, reason: reason.into() })));
            None
        })
    }

    /// Cancels the task; returns whether it did. The outcome is then [`TaskError::Cancelled`].
    ///
    /// A pool of processes stops also a task that is running: it kills the worker and replaces it.
    /// A pool of threads cannot do that, and cancels only a task that has not started.
    pub fn cancel(&self) -> bool {
        self.cancel_within(CancelScope::Running)
    }

    pub(crate) fn cancel_within(&self, scope: CancelScope) -> bool {
        !self.is_ready()
            && self.reach_pool().is_some_and(|pool| pool.cancel(self.slot.task().id, scope))
    }

    /// The size of the encoded argument in the pool, in bytes; 0 if the pool holds none.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<R: Data> TaskHandle<R> {
    /// Waits for the task and returns its result.
    ///
    /// # Errors
    ///
    /// The reason why the task has no result.
    pub fn get(self) -> Result<R, TaskError> {
        self.wait();
        self.take()
    }

    /// Waits for the task, but not longer than `timeout`. If the task has not finished by then, it
    /// continues.
    ///
    /// # Errors
    ///
    /// Hands the handle back if the outcome has not arrived.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn demo(pool: &impl farm_core::Farm) -> Result<(), farm_core::FarmError> {
    /// let handle = pool.submit(f64::sqrt, 2.0);
    /// match handle.get_timeout(Duration::from_millis(10)) {
    ///     Ok(outcome) => println!("{}", outcome?),
    ///     Err(handle) => println!("later: {}", handle.get()?),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn get_timeout(self, timeout: Duration) -> Result<Result<R, TaskError>, Self> {
        // A timeout that the clock cannot represent is no limit.
        if self.wait_until(Instant::now().checked_add(timeout)) {
            Ok(self.take())
        } else {
            Err(self)
        }
    }

    fn take(&self) -> Result<R, TaskError> {
        self.slot.take().unwrap_or_else(|| Err(TaskError::Taken { task: self.slot.task().clone() }))
    }
}

impl<R: Data> Future for TaskHandle<R> {
    type Output = Result<R, TaskError>;

    /// Returns the outcome once. If the handle is polled again, it returns [`TaskError::Taken`].
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let is_told = || self.reach_pool().is_none() && self.is_ready();
        if self.slot.poll(context.waker()) || is_told() {
            Poll::Ready(self.take())
        } else {
            Poll::Pending
        }
    }
}

impl<R> fmt::Debug for TaskHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_ready() { "ready" } else { "waiting" };
        write!(f, "TaskHandle({}, {state})", self.task())
    }
}
