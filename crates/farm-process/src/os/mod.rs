//! Wrappers of the system calls that the pool and its workers need: descriptors, memory, signals,
//! threads.

pub(crate) mod descriptor;
pub(crate) mod memory;
pub(crate) mod signals;
pub(crate) mod threads;
