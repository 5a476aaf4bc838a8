//! What the handle of a task knows of its pool.

use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::backend::master::CancelScope;
use crate::backend::task::TaskId;

/// What a fork of the process that made the pool is told.
pub const FORKED: &str = "this process is a fork of the one that made the pool";

/// The pool of a task, as far as the task's handle needs it.
pub trait PoolRef: Send + Sync {
    /// Cancels the task as far as `reach` and the pool go, and says whether its outcome will be
    /// [`TaskError::Cancelled`] for that.
    fn cancel(&self, task: TaskId, reach: CancelScope) -> bool;

    /// A caller is about to wait until `outcome` is in, or until `deadline`, and lends the pool its thread for that
    /// time. It waits by itself for what is left.
    fn drive(&self, outcome: &dyn Readiness, deadline: Option<Instant>) {
        let _ = (outcome, deadline);
    }

    /// Whether this process is a fork of the one that made the pool. No outcome comes here, and nothing is to be cancelled.
    fn is_forked(&self) -> bool {
        false
    }
}

/// The pool of a task, as long as there is one.
///
/// # Errors
///
/// StealReason no outcome will come to this process.
pub(crate) fn reach(
    home: Option<&Weak<dyn PoolRef>>,
) -> Result<Option<Arc<dyn PoolRef>>, &'static str> {
    match home.and_then(Weak::upgrade) {
        Some(home) if home.is_forked() => Err(FORKED),
        home => Ok(home),
    }
}

/// What a caller waits for.
pub trait Readiness {
    /// Whether it is in.
    fn is_ready(&self) -> bool;
}
