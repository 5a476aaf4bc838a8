//! The functions of a pool that sends many items of a map in one message.

use std::sync::{Arc, Weak};

use crate::api::options::TaskOptions;
use crate::backend::pool_ref::PoolRef;
use crate::backend::prepare::ArgumentArena;
use crate::backend::slot::Deliver;
use crate::backend::task::Task;
use crate::loan::Loans;

/// The functions of a pool, beside those of [`Farm`](crate::Farm), that its users do not need.
pub trait Backend: Send + Sync {
    /// Returns how items of a map are sent in batches; `None` if each item is a task of its own.
    fn batching(&self) -> Option<&dyn Batching> {
        None
    }
}

/// A pool to which batches can be submitted.
pub trait Batching: Send + Sync {
    /// Returns `options`, completed by those of the pool; `None` if tasks with these options must
    /// be submitted one by one.
    fn options(&self, options: &TaskOptions) -> Option<TaskOptions>;

    /// Accepts a task or a batch, whose outcomes are to be delivered to `slot`.
    fn accept(&self, task: Task, slot: Arc<dyn Deliver>, loans: Loans)
    -> Option<Weak<dyn PoolRef>>;

    /// Counts a task that has failed before it was submitted.
    fn failed(&self);

    /// Calls `body` with the arena for a long argument, if the pool has one.
    fn with_arena(&self, body: &mut dyn FnMut(Option<&mut dyn ArgumentArena>));

    /// Returns how many items a map whose outcomes are all wanted keeps submitted.
    fn ahead(&self) -> usize;
}
