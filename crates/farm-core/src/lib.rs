//! The farm without its workers: what a task is, who holds it when, and the [`Farm`] trait that every
//! pool implements.
//!
//! Users need what stands here and in the [`prelude`]; authors of pools find the rest in [`backend`].
//!
//! The journey of a task, in the names of this crate's files:
//!
//! ```text
//! api/farm ─▶ backend/prepare ─▶ backend/todo ─▶ backend/master ──wire/message──▶ worker: backend/run
//!               wire/function                         ▲                                  │
//!               wire/codec                            │                                  │
//! api/handle ◀─ backend/slot ◀─ backend/mailbox ◀─────┴───────────wire/message───────────┘
//! ```
//!
//! A pool adds only the way in which its messages travel. [`backend::Master`] decides which worker
//! gets which task and does no input or output, so its rules are tested without a process.
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

/// What a program that uses a farm needs: `use farm_core::prelude::*;`.
pub mod prelude {
    pub use crate::{Farm, FarmError, TaskError, TaskHandle, TaskOptions, distribute};
}

/// The example of the README runs like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
