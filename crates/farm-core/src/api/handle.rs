//! The caller's end of a submitted task.

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

/// The outcome of one submitted task, now or later. It is also a [`Future`].
///
/// Dropping a handle cancels nothing: the task runs, and its result is thrown away.
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
    /// The handle of a task of `pool` whose outcome will be put into `slot`. Its
    /// argument takes up `bytes` in the pool.
    pub fn new(slot: Arc<Slot<R>>, pool: Option<Weak<dyn PoolRef>>, bytes: usize) -> Self {
        Self { slot, pool, bytes }
    }

    /// The handle of a task that ended before it was sent.
    pub fn failed(error: TaskError) -> Self {
        let slot = Slot::new(error.task().clone());
        // It is new: nobody waits for it.
        let _ = slot.fill(Err(error));
        Self::new(Arc::new(slot), None, 0)
    }

    /// The name of the task.
    pub fn task(&self) -> &TaskName {
        self.slot.task()
    }

    /// Whether the outcome is in.
    pub fn is_ready(&self) -> bool {
        self.slot.is_ready()
    }

    /// Waits until the outcome is in.
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Says whether the outcome is in.
    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        if !self.is_ready()
            && let Some(pool) = self.reach_pool()
        {
            pool.drive(&*self.slot, deadline);
        }
        self.slot.wait(deadline)
    }

    /// The pool, as long as there is one. A fork of its process is told that no outcome comes.
    fn reach_pool(&self) -> Option<Arc<dyn PoolRef>> {
        reach(self.pool.as_ref()).unwrap_or_else(|reason| {
            let task = self.slot.task().clone();
            wake_here(self.slot.fill(Err(TaskError::NoWorkers { task, reason: reason.into() })));
            None
        })
    }

    /// Cancels the task, and says whether it did; its outcome is then [`TaskError::Cancelled`].
    ///
    /// A task that is running is stopped if the pool can do that: a worker process is killed, and
    /// replaced; a thread cannot be, so that on threads only what has not started is cancelled.
    pub fn cancel(&self) -> bool {
        self.cancel_within(CancelScope::Running)
    }

    pub(crate) fn cancel_within(&self, reach: CancelScope) -> bool {
        !self.is_ready()
            && self.reach_pool().is_some_and(|pool| pool.cancel(self.slot.task().id, reach))
    }

    /// The size of its encoded argument; 0 where the pool holds none.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl<R: Data> TaskHandle<R> {
    /// Waits for the task and returns its result.
    ///
    /// # Errors
    ///
    /// What happened to the task instead.
    pub fn get(self) -> Result<R, TaskError> {
        self.wait();
        self.take()
    }

    /// Waits for at most `timeout`. The task goes on if it is not done by then.
    ///
    /// # Errors
    ///
    /// Hands the handle back if the outcome is not in.
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
        // A time that the clock cannot hold is as good as no limit.
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

    /// Ready once; asked again, the handle says [`TaskError::Taken`].
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
