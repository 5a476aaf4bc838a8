//! The farm without its workers: what a task is, who holds it when, and the [`Farm`] trait that every
//! pool implements.
//!
//! The journey of a task, in the names of this crate's files:
//!
//! ```text
//! farm ─▶ function + codec ─▶ todo ─▶ master ──message──▶ worker: run
//!                                       ▲                           │
//! handle ◀─ slot ◀─ mailbox ◀───────────┴──────────message──────────┘
//! ```
//!
//! A pool adds only the way its messages travel. [`Master`] decides who gets which task and does no
//! input or output, so the rules can be tested without a process.
//!
//! ```
//! use farm_core::distribute;
//!
//! assert_eq!(distribute(7, 3), [0..3, 3..5, 5..7]);
//! ```

mod batch;
mod by_age;
mod calls;
pub mod codec;
mod collect;
mod distribute;
mod envelope;
mod error;
mod farm;
#[doc(hidden)]
pub mod fork;
mod function;
mod handle;
pub mod keep;
mod mailbox;
mod master;
mod message;
mod owner;
mod pace;
mod panics;
pub mod passenger;
mod payload;
pub mod plain;
mod prepare;
mod run;
mod slot;
mod stats;
#[doc(hidden)]
pub mod system;
mod task;
mod todo;
mod wakers;

pub use collect::{Envelopes, Imap};
pub use distribute::distribute;
pub use envelope::Envelope;
pub use error::{Failure, FarmError, Loss, Stage, TaskError};
pub use farm::Farm;
pub use function::{Data, Function, FunctionError, FunctionRef, Items, TaskFn, build_id};
pub use handle::{Home, Outcome, TaskHandle};
pub use mailbox::{Delivery, Mailbox};
pub use master::{Action, Answer, Master, Part, Reach, Rules, Why};
pub use message::{Ending, FromWorker, ToWorker};
pub use owner::{Lock, Owner};
#[doc(hidden)]
pub use panics::contained;
pub use passenger::{Passenger, Passengers};
pub use payload::Payload;
pub use plain::Plain;
pub use prepare::{Depot, Prepared, prepare, prepare_in};
pub use run::{call, encode_call, inside_a_task, run, run_each, run_to};
pub use slot::{Deliver, Slot};
pub use stats::{Counters, Stats};
pub use task::{Attempt, Policy, Task, TaskId, TaskName, TaskOptions, WorkerId};
pub use wakers::{Spawn, Wakers, wake_here};

/// What a program that uses a farm needs: `use farm_core::prelude::*;`.
pub mod prelude {
    pub use crate::{Farm, FarmError, TaskError, TaskHandle, TaskOptions, distribute};
}

/// The example of the README runs like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
