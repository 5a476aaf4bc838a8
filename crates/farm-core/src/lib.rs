//! The common part of all pools of Farm: the [`Farm`] trait, tasks and their outcomes, and the
//! encoding of arguments and results. The workers are in the crates of the pools.
//!
//! Programs use what is at the root of this crate, most of it by the [`prelude`]. Authors of pools
//! use [`backend`]. Authors of handles of shared memory use [`loan`].
//!
//! The journey of a task through the files of this crate:
//!
//! ```text
//! api/farm ─▶ backend/prepare ─▶ backend/todo ─▶ backend/master ─wire/message─▶ worker backend/run
//!               wire/function                         ▲                                │
//!               wire/codec                            │                                │
//! api/handle ◀─ backend/slot ◀─ backend/mailbox ◀─────┴──────────wire/message──────────┘
//! ```
//!
//! A pool adds only the way in which its messages travel. [`backend::Master`] decides which worker
//! gets which task. It does no input or output, so its rules are tested without a process.
//!
//! ```
//! use farm_core::distribute;
//!
//! assert_eq!(distribute(7, 3), [0..3, 3..5, 5..7]);
//! ```

mod api;
pub mod backend;
pub mod loan;
mod wire;

pub use api::distribute::distribute;
pub use api::error::{FarmError, Loss, Stage, TaskError};
pub use api::farm::Farm;
pub use api::handle::TaskHandle;
pub use api::imap::Imap;
pub use api::options::TaskOptions;
pub use api::stats::Stats;
pub use backend::task::{TaskId, TaskName, WorkerId};
pub use wire::function::{Data, FunctionError, TaskFn};
pub use wire::plain::Plain;
pub use wire::{codec, plain};

/// The names that a program needs to use a farm: `use farm_core::prelude::*;`.
pub mod prelude {
    pub use crate::{Farm, FarmError, TaskError, TaskHandle, TaskOptions, distribute};
}

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
