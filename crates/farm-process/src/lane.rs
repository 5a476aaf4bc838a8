//! A lane: what one worker and its master say to each other while there is work, in memory that both share.
//!
//! ```text
//! master                                 lane                                worker
//! MasterEnd::send ───▶ ring down: heads, short arguments ──────────────▶ WorkerEnd::next
//!                      claims: which items are whose           ◀──────▶ WorkerEnd::take_up
//! MasterEnd::hear ◀─── ring up: heads, short results  ◀──────────────── WorkerEnd::answer
//!                      long results                    ◀────────────────
//! Store::put ────────▶ long arguments, in one block for all workers ───▶
//! ```
//!
//! Each worker has a lane of its own and can write to no other, so one that crashes damages nothing else, and nothing in
//! a lane is believed when it is read. Whoever waits looks for a while and then sleeps: a worker in its [`bed`], the master
//! by the [`bell`]. ipc-channel starts, controls and ends workers beside this.

mod bed;
pub(crate) mod bell;
pub(crate) mod block;
mod claim;
mod extents;
mod layout;
mod master_end;
pub(crate) mod memory;
mod record;
mod results;
mod ring;
mod spin;
mod store;
mod worker_end;

pub(crate) use master_end::{MasterEnd, News, Window};
pub(crate) use record::MOST_INLINE;
pub(crate) use ring::Broken;
pub(crate) use spin::look;
pub(crate) use store::{Store, Vacancy};
pub(crate) use worker_end::{Told, Way, WorkerEnd};

use crate::transport::{at_boundary, at_ring};

/// How many tasks a worker is sent ahead.
pub(crate) const WINDOW: usize = 16;
