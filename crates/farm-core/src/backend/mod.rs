//! The API for authors of pools.
//!
//! Programs that use a pool do not need this module. A pool gets a [`Task`] from [`prepare`], notes
//! where its outcome belongs in a [`Mailbox`], has the [`Master`] assign the task to a worker, and
//! sends it there. The worker calls the function by [`run`]. When the answer arrives, the pool
//! delivers the outcome to the task's slot.
//!
//! | file | what it holds |
//! |---|---|
//! | `prepare`, `encode_argument` | make an encoded task from a function and its argument |
//! | `batcher`, `pool`, `map_results`, `pace` | items of a map in batches, and their outcomes |
//! | `task`, `todo`, `id_queue` | tasks, and the list of those that no worker has yet |
//! | `master` | assigns tasks to workers: a state machine without input or output |
//! | `run`, `panics` | run a task in a worker |
//! | `mailbox`, `slot`, `payload`, `decode_result` | outcomes that are owed, and their delivery |
//! | `pool_ref`, `wakers` | what handles know of their pool, and how futures are woken |

pub(crate) mod batcher;
pub(crate) mod decode_result;
pub(crate) mod encode_argument;
pub(crate) mod id_queue;
pub(crate) mod mailbox;
pub(crate) mod map_results;
pub(crate) mod master;
pub(crate) mod pace;
pub(crate) mod panics;
pub(crate) mod payload;
pub(crate) mod pool;
pub(crate) mod pool_ref;
pub(crate) mod prepare;
pub(crate) mod run;
pub(crate) mod slot;
pub(crate) mod task;
pub(crate) mod todo;
pub(crate) mod wakers;

pub use self::encode_argument::encode_call;
pub use self::mailbox::{Delivery, Mailbox};
pub use self::master::{Action, Answer, CancelScope, Master, Rules, StealAmount, StealReason};
pub use self::panics::contained;
pub use self::payload::{Payload, Placed};
pub use self::pool::{Backend, Batching};
pub use self::pool_ref::{FORKED, PoolRef, Readiness};
pub use self::prepare::{ArgumentArena, Prepared, prepare, prepare_in};
pub use self::run::{call, inside_a_task, run, run_each, run_to};
pub use self::slot::{Deliver, Slot};
pub use self::task::{Attempt, Task};
pub use self::wakers::{Spawn, Wakers, wake_here};
pub use crate::api::error::Failure;
pub use crate::api::options::Policy;
pub use crate::api::stats::Counters;
pub use crate::loan::{Loan, Loans};
pub use crate::wire::batch::Batch;
pub use crate::wire::function::{Function, FunctionRef, Items, build_id};
pub use crate::wire::message::{Ending, FromWorker, ToWorker};
