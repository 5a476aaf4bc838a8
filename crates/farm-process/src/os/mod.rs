//! What the pool and its workers need of the system: descriptors, memory, signals, threads.

pub(crate) mod descriptor;
pub(crate) mod memory;
pub(crate) mod signals;
pub(crate) mod threads;
