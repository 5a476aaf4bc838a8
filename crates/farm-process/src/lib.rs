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
//! The journey of a task, in the names of this crate's files:
//!
//! ```text
//! pool ─▶ dispatcher ─▶ transport/lane (or transport/channel) ─▶ worker
//!            ▲                                                      │
//!            └── dispatcher/receiver ◀── transport ◀────────────────┘
//! ```
//!
//! `spawn` brings workers up; `supervise` sees them die, keeps what they print, and ends them with their
//! master; `os` holds what all of these need of the system.

#[cfg(not(target_os = "linux"))]
compile_error!("farm-process runs on Linux only; use farm-rayon or farm-mono elsewhere");

mod boundary;
mod dispatcher;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod init;
mod os;
mod pool;
mod spawn;
mod supervise;
mod transport;
mod worker;

pub use init::init;
#[doc(hidden)]
pub use init::{Constructor, Texts, enter_before_main};
pub use pool::Pool;
pub use pool::builder::Builder;
pub use pool::process::Process;
pub use pool::settings::Transport;
pub use spawn::prepare_exit;

/// The examples of the project's front page run like any other.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
