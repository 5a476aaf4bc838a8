//! The transport by lanes. A lane is memory that one worker and its master share. Tasks and results
//! travel through it.
//!
//! ```text
//! master                                 lane                                worker
//! MasterEnd::send ───▶ ring down: heads, short arguments ──────────────▶ WorkerEnd::next
//! MasterEnd::steal ◀─▶ claims: which items are taken up or stolen ◀────▶ WorkerEnd::take_up
//! MasterEnd::poll ◀─── ring up: heads, short results ◀────────────────── WorkerEnd::returned
//!                      long results                  ◀──────────────────
//! Arena::put ────────▶ long arguments, in one block for all workers ───▶
//! ```
//!
//! Each worker has a lane of its own and can write to no other lane, so a worker that crashes
//! damages no other lane. Each side checks what it reads from a lane before it uses it. A side that
//! waits for the other looks for a while and then sleeps: a worker by its [`parker`], the master by
//! the [`master_waker`]. A worker gets the descriptors of this memory when it starts. Starting,
//! controlling and ending workers is left to ipc-channel.

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

/// How many tasks a worker is sent before it has answered the first of them.
const WINDOW: usize = 16;

/// Connects workers by lanes.
pub(crate) struct LaneConnector {
    arena: Arc<Arena>,
    waker: Arc<MasterWaker<Block>>,
    /// The room for long results in each lane, in bytes.
    room: usize,
}

impl LaneConnector {
    /// # Errors
    ///
    /// If the system refuses memory or descriptors.
    pub(crate) fn new(workers: usize) -> io::Result<Self> {
        // The memory of this machine, rounded up to a power of two, so that no value is too long
        // unless a limit on files or addresses is lower. Only what is written to takes up memory.
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

/// How many bytes of addresses a pool may reserve, half of them for the arena and half for its
/// lanes: a quarter of those that are left to the process.
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
