//! The farm in worker processes: a crash costs one task, never the run.
//!
//! Workers are started from the running executable itself. [`init`] turns such a process into a worker,
//! so it must be the first line of `main`:
//!
//! ```
//! # farm_process::init_before_main!();
//! use farm_core::prelude::*;
//! use farm_process::Pool;
//!
//! fn main() -> Result<(), FarmError> {
//!     farm_process::init(); // a worker process goes no further than this line
//!     let pool = Pool::new()?; // one worker per core that this process may use
//!     let roots = pool.map(f64::sqrt, [1.0, 4.0, 9.0])?;
//!     assert_eq!(roots, [1.0, 2.0, 3.0]);
//!     Ok(())
//! }
//! ```
//!
//! Under `cargo test` there is no `main` of one's own; see [`init_before_main!`].
//!
//! The journey of a task, in the names of this crate's files: `pool` puts it on the list, `service` has
//! the master decide and carries out what it decides, a `lane` carries it (or, where asked for, `transport`, which is what
//! `start` brings workers up by) to its process, where `worker` runs it; who has the `seat` hears the answer. `watch` sees workers die and kills those that have to, `staff`
//! knows who is there, `output` keeps their last words, `lifeline` ties a worker to its master.

#[cfg(not(target_os = "linux"))]
compile_error!("farm-process runs on Linux only; use farm-rayon or farm-mono elsewhere");

mod alarm;
#[cfg(test)]
mod boundaries;
mod builder;
mod clock;
mod closing;
mod cores;
mod descriptor;
mod facts;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod init;
mod lane;
mod lifeline;
mod link;
mod mark;
mod meeting;
mod memory;
mod origin;
mod output;
mod pool;
mod queue;
mod seat;
mod service;
mod settings;
mod signals;
mod staff;
mod start;
mod tail;
mod threads;
mod transport;
mod wake;
mod watch;
mod worker;

pub use builder::Builder;
pub use init::init;
#[doc(hidden)]
pub use init::{Constructor, Texts, enter_before_main};
pub use meeting::prepare_exit;
pub use pool::Pool;
pub use settings::Transport;
pub use staff::Process;

/// The examples of the project's front page run like any other.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;

/// The example of the README runs like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
