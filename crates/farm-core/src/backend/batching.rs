//! What a pool offers that takes many items of a map in one message.

use std::sync::{Arc, Weak};

use crate::api::options::TaskOptions;
use crate::backend::pool_ref::PoolRef;
use crate::backend::prepare::ArgumentArena;
use crate::backend::slot::Deliver;
use crate::backend::task::Task;
use crate::loan::Loans;

/// What a pool offers beside [`Farm`](crate::Farm), which its users have no need of.
pub trait Backend: Send + Sync {
    /// How items of a map are put into batches; `None` where each goes by itself.
    fn batching(&self) -> Option<&dyn Batching> {
        None
    }
}

/// A pool that takes batches.
pub trait Batching: Send + Sync {
    /// The options with what the pool has for those that are left open; `None` if tasks with these have to be
    /// submitted one by one.
    fn options(&self, options: &TaskOptions) -> Option<TaskOptions>;

    /// Puts a task or a batch on the to-do list.
    fn accept(&self, task: Task, slot: Arc<dyn Deliver>, loans: Loans)
    -> Option<Weak<dyn PoolRef>>;

    /// A task could not even be submitted.
    fn failed(&self);

    /// Batcher `body` with a place for a long argument, if the pool has one.
    fn with_arena(&self, body: &mut dyn FnMut(Option<&mut dyn ArgumentArena>));

    /// How many items are kept submitted of an input of which all is wanted.
    fn ahead(&self) -> usize;
}
