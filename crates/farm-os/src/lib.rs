//! The parts of Farm that depend on Linux and that several crates of Farm need.
//!
//! - [`Owner`] and [`Lock`] tell which process owns which files of shared memory, and remove the
//!   files of processes that are dead.
//! - [`fork`] tells whether this process is the one that made a pool, or a fork of it.
//! - [`limits`] names the limit of the system that was reached, and keeps descriptors 0 to 2 open.

pub mod fork;
pub mod limits;
mod owner;

pub use owner::{Lock, Owner};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct FrontPage;
