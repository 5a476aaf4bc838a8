//! The transport by lanes. A lane is memory that one worker and its master share, through which they
//! talk while there is work.
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
//! Each worker has a lane of its own and can write to no other, so one that crashes damages nothing
//! else, and nothing in a lane is believed when it is read. A side that waits looks for a while and then
//! sleeps: a worker in its [`parker`], the master by the [`master_waker`]. Workers get the descriptors of
//! this memory when they start; ipc-channel starts, controls and ends them beside this.

mod arena;
mod block;
mod free_list;
mod layout;
mod master_end;
mod master_waker;
mod memory;
mod parker;
mod range_claim;
mod record;
mod results;
mod ring;
mod serve;
mod spin;
mod worker_end;

pub(crate) use self::arena::{Arena, ArenaWriter};
pub(crate) use self::block::Block;
pub(crate) use self::master_end::LaneView;
pub(crate) use self::master_waker::{MasterWaker, Sleeper};
pub(crate) use self::spin::look;
pub(crate) use self::worker_end::{Reserved, WorkerEnd};

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use farm_os::limits::longest_file;
use ipc_channel::ipc::IpcSender;

use self::block::CELL;
use self::master_end::MasterEnd;
use self::master_waker::WORDS;
use super::control::Down;
use super::{Connection, Connector, TransportConfig};
use crate::os::memory::addresses_left;

/// How many tasks a worker is sent ahead.
const WINDOW: usize = 16;

/// Connects workers by lanes.
pub(crate) struct LaneConnector {
    arena: Arc<Arena>,
    waker: Arc<MasterWaker<Block>>,
    /// How much room for long results each lane has, in bytes.
    room: usize,
}

impl LaneConnector {
    /// # Errors
    ///
    /// If the system refuses memory or descriptors.
    pub(crate) fn new(workers: usize) -> io::Result<Self> {
        // Twice the memory that there is, so that no value is too long, unless a limit says so; only
        // what is written to is taken.
        let system = rustix::system::sysinfo();
        let memory = u64::from(system.mem_unit).saturating_mul(system.totalram);
        let memory = usize::try_from(memory).unwrap_or(usize::MAX >> 2).next_power_of_two();
        let memory = memory.min(usize::try_from(longest_file()).unwrap_or(usize::MAX));
        let waker = Block::create("farm-waker", WORDS * CELL, WORDS * CELL)?;
        Ok(Self {
            arena: Arena::new(memory.min(addresses() / 2))?,
            waker: Arc::new(MasterWaker::new(waker)),
            room: memory.min(addresses() / 2 / workers),
        })
    }

    fn try_connect(&self) -> io::Result<Connection> {
        let end = MasterEnd::new(self.room)?;
        let blocks = [end.block(), self.arena.block(), self.waker.memory()];
        let files =
            blocks.into_iter().map(Block::descriptor).collect::<io::Result<Vec<OwnedFd>>>()?;
        let reserved = Reserved::of(blocks.map(Block::len));
        Ok(Connection { link: Box::new(end), config: TransportConfig::Lane(reserved), files })
    }
}

/// How many addresses all lanes of a pool may take up together: a quarter of those that are left to the
/// process.
fn addresses() -> usize {
    usize::try_from(addresses_left() / 4).unwrap_or(usize::MAX)
}

impl Connector for LaneConnector {
    fn window(&self) -> usize {
        WINDOW
    }

    fn connect(&self, _: &IpcSender<Down>) -> io::Result<Connection> {
        self.try_connect().map_err(|error| {
            io::Error::other(format!(
                "its lane cannot be made: {error}; `transport(Transport::Channel)` of the pool's \
                 builder does without lanes"
            ))
        })
    }

    fn arena(&self) -> Option<&Arc<Arena>> {
        Some(&self.arena)
    }

    fn master_waker(&self) -> Option<&Arc<MasterWaker<Block>>> {
        Some(&self.waker)
    }
}
