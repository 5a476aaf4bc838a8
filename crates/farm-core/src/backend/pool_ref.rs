//! The view of a pool that the handles of its tasks have.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::backend::master::CancelScope;
use crate::backend::task::TaskId;

/// The error text of tasks in a fork of the process that made the pool.
pub const FORKED: &str = "this process is a fork of the one that made the pool";

/// The functions of a pool that the handles of its tasks use.
pub trait PoolRef: Send + Sync {
    /// Cancels the task, as far as `reach` says and the pool can; returns whether the outcome of
    /// the task will therefore be [`TaskError::Cancelled`](crate::TaskError::Cancelled).
    fn cancel(&self, task: TaskId, scope: CancelScope) -> bool;

    /// Uses the calling thread, which is about to wait, to receive answers until `outcome` is ready
    /// or `deadline` has passed. It may return at any time; the caller then waits by itself for the
    /// rest.
    fn drive(&self, outcome: &dyn Readiness, deadline: Option<Instant>) {
        let _ = (outcome, deadline);
    }

    /// Whether this process is a fork of the one that made the pool. No outcome arrives in a fork,
    /// and nothing can be cancelled there.
    fn is_forked(&self) -> bool {
        false
    }
}

/// Returns the pool of a task, if it still exists.
///
/// # Errors
///
/// The reason why no outcome will arrive in this process.
pub(crate) fn reach(
    home: Option<&Weak<dyn PoolRef>>,
) -> Result<Option<Arc<dyn PoolRef>>, &'static str> {
    match home.and_then(Weak::upgrade) {
        Some(home) if home.is_forked() => Err(FORKED),
        home => Ok(home),
    }
}

/// An outcome for which a caller waits.
pub trait Readiness {
    /// Returns whether the outcome has arrived.
    fn is_ready(&self) -> bool;
}
