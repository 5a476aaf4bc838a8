//! Runs a program as its users do, and looks at all that it leaves behind.
//!
//! A [`Workplace`] is a program and a folder of its own to run it in. Every run that ends is looked at:
//! no process of it is left, no segment of shared memory and no temporary file. Processes are found by
//! their working folder, which a program hands on to whatever it starts, so none can hide by another
//! name or parent.
//!
//! Only the tests of the programs use this. What it finds wrong is a panic.

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
