//! What the crates of the farm need of Linux.
//!
//! - [`Owner`] and [`Lock`] say which process owns which files of shared memory, and remove those of
//!   processes that are dead.
//! - [`fork`] tells whether this process is still the one that made a pool.
//! - [`limits`] names the limit of the system that is in the way, and keeps descriptors 0 to 2 open.

pub mod fork;
pub mod limits;
mod owner;

pub use owner::{Lock, Owner};

/// The example of the front page of this crate runs like any other.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct FrontPage;
