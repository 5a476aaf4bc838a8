//! Supervision of the workers: the watch notices their death and kills those that must end, the
//! output threads keep what they print, and the lifeline ends a worker together with its master.

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
