//! Runs a program as its users do, and checks everything that it leaves behind.
//!
//! A [`Workplace`] is a program and a folder of its own to run it in. After every run that ends, no
//! process of it may be left, no segment of shared memory and no temporary file. Processes are
//! found by their working folder, which a program's children inherit, so a process is found
//! whatever its name or parent is.
//!
//! Only the tests of the programs use this crate. A failed check is a panic.

#![deny(unsafe_code)]

mod chaos;
mod endings;
mod left;
mod running;
mod workplace;

pub use chaos::{a_loss_is_in_the_summary, kills_change_nothing};
pub use endings::{
    a_kill_ends_stopped_workers, a_kill_ends_the_workers, a_lost_worker_is_one_line,
    a_pause_changes_nothing, a_signal_ends_all, a_signal_while_starting,
};
pub use running::{Ended, Running};
pub use workplace::Workplace;
