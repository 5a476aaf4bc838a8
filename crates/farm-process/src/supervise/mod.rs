//! Supervision: the watch sees workers die and kills those that have to, the output threads keep what
//! they print, and the lifeline ends a worker with its master.

pub(crate) mod alarm;
pub(crate) mod clock;
pub(crate) mod image;
pub(crate) mod lifeline;
mod out_of_memory;
pub(crate) mod output;
mod output_queue;
mod poll_waker;
mod tail;
pub(crate) mod watch;
