//! A farm of worker processes: a crash costs one task, and the other tasks go on.
//!
//! Workers are started from the running executable itself. [`init`] turns such a process into a
//! worker, so it must be the first line of `main`:
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
//! A test program that `cargo test` builds has no `main` of its own; see [`init_before_main!`].
//!
//! The way of a task through the files of this crate:
//!
//! ```text
//! pool ─▶ dispatcher ─▶ transport/lane (or transport/channel) ─▶ worker
//!            ▲                                                      │
//!            └── dispatcher/receiver ◀── transport ◀────────────────┘
//! ```
//!
//! `spawn` starts workers. `supervise` notices their death, keeps what they print, and ends them
//! with their master. `os` wraps the system calls that all of these need.

#[cfg(not(target_os = "linux"))]
compile_error!("farm-process runs on Linux only; use farm-rayon or farm-mono elsewhere");

mod dispatcher;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod init;
mod kill_points;
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

/// Runs the examples of the project's README as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;

/// Runs the example of this crate's README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
