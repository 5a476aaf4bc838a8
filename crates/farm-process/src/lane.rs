//! A lane: what one worker and its master say to each other while there is work, in memory that both share.
//!
//! ```text
//! master                                 lane                                worker
//! MasterEnd::send ───▶ ring down: heads, short arguments ──────────────▶ WorkerEnd::next
//!                      claims: which items are whose           ◀──────▶ WorkerEnd::take_up
//! MasterEnd::poll ◀─── ring up: heads, short results  ◀──────────────── WorkerEnd::answer
//!                      long results                    ◀────────────────
//! Arena::put ────────▶ long arguments, in one block for all workers ───▶
//! ```
//!
//! Each worker has a lane of its own and can write to no other, so one that crashes damages nothing else, and nothing in
//! a lane is believed when it is read. Whoever waits looks for a while and then sleeps: a worker in its [`parker`], the master
//! by the [`waker`]. ipc-channel starts, controls and ends workers beside this.

mod arena;
pub(crate) mod block;
mod free_list;
mod layout;
mod master_end;
pub(crate) mod master_waker;
pub(crate) mod memory;
mod parker;
mod range_claim;
mod record;
mod results;
mod ring;
mod spin;
mod worker_end;

pub(crate) use arena::{Arena, ArenaWriter};
pub(crate) use master_end::{LaneView, MasterEnd, WorkerEvent};
pub(crate) use record::MOST_INLINE;
pub(crate) use ring::Broken;
pub(crate) use spin::look;
pub(crate) use worker_end::{Command, LaneDescriptors, WorkerEnd};

use crate::transport::{at_boundary, at_ring};

/// How many tasks a worker is sent ahead.
pub(crate) const WINDOW: usize = 16;
