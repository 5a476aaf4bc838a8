//! How tasks and results travel between the master and its workers.
//!
//! There are two transports, which do the same: [`lane`], memory that each worker shares with its
//! master, and [`channel`], the sockets of ipc-channel. A [`Connector`] makes the connection to each new
//! worker; the master holds its [`Link`], the worker serves at the other end. In both transports,
//! ipc-channel starts, controls and ends the workers ([`control`]).

pub(crate) mod channel;
pub(crate) mod control;
pub(crate) mod facts;
pub(crate) mod ipc;
pub(crate) mod lane;
pub(crate) mod outcome;

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use farm_core::TaskId;
use farm_core::backend::{Answer, Ending, Payload, StealAmount, Task};
use ipc_channel::ipc::IpcSender;
use serde::{Deserialize, Serialize};

use self::channel::TaskCounter;
use self::control::Down;
use self::lane::{Arena, Block, LaneView, MasterWaker};

/// Makes the connections of one pool, in the master.
pub(crate) trait Connector: Send + Sync {
    /// How many tasks a worker is sent ahead.
    fn window(&self) -> usize;

    /// Makes the connection to a new worker, which is controlled by `control`.
    ///
    /// # Errors
    ///
    /// If the system refuses memory or descriptors for it.
    fn connect(&self, control: &IpcSender<Down>) -> io::Result<Connection>;

    /// Where long arguments lie, if this transport has such a place.
    fn arena(&self) -> Option<&Arc<Arena>> {
        None
    }

    /// By what workers wake the master; `None` where their answers come by the control channel.
    fn master_waker(&self) -> Option<&Arc<MasterWaker<Block>>> {
        None
    }
}

/// A connection that has been made.
pub(crate) struct Connection {
    /// The master's end.
    pub(crate) link: Box<dyn Link>,
    /// What the worker is told of its own end.
    pub(crate) config: TransportConfig,
    /// The descriptors by which the worker opens its end.
    pub(crate) files: Vec<OwnedFd>,
}

/// What a worker is told of its end of a connection.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum TransportConfig {
    /// Tasks come by the control channel.
    Channel(TaskCounter),
    /// Tasks come by a lane.
    Lane(lane::Reserved),
}

/// The master's end of the connection to one worker.
pub(crate) trait Link: Send {
    /// Sends a task, with all items of it that are left.
    fn send(&mut self, task: &Task) -> Result<(), Unsent>;

    /// Has the worker unmap the arrays that the master has dropped.
    fn request_eviction(&mut self) -> Result<(), Unsent>;

    /// Has the worker end once it has done what it was sent.
    fn request_end(&mut self) -> Result<(), Unsent>;

    /// How many items the worker has taken up in its life.
    fn taken_up(&self) -> u64;

    /// The next thing that the worker has said by this link; the channel brings it by other ways.
    fn poll(&mut self) -> Result<Option<WorkerEvent>, Broken> {
        Ok(None)
    }

    /// Everything that was said has been polled, `any` of it since the last call: sends what waits for
    /// room.
    fn flush(&mut self, any: bool) -> Result<(), Broken> {
        let _ = any;
        Ok(())
    }

    /// Takes back items of a task that the worker has not taken up.
    fn steal(&mut self, task: TaskId, amount: StealAmount) -> Option<Range<u32>> {
        let _ = (task, amount);
        None
    }

    /// What a dead worker had done of a batch and had no time to say; it has answered `answered` items.
    fn left_behind(&mut self, answered: u64) -> Option<(Answer, Payload)> {
        let _ = answered;
        None
    }

    /// Polls the worker no more: it has written what no worker writes.
    fn give_up(&mut self) {}

    /// A view by which threads see, without the dispatcher's lock, whether there is something to poll.
    fn view(&self) -> Option<LaneView> {
        None
    }

    /// Says whether the worker may look for its next task without sleeping.
    fn allow_spinning(&mut self, allowed: bool) {
        let _ = allowed;
    }

    /// Gives memory that is not in use back to the system; says whether that is all.
    fn give_back_idle(&mut self) -> bool {
        true
    }
}

/// What a worker says by its link.
pub(crate) enum WorkerEvent {
    /// Items of a task have ended; `body` is what [`outcome`] reads.
    Done { answer: Answer, ending: Ending, body: Payload },
    /// The worker has unmapped what the master has dropped.
    Evicted,
}

/// The worker's end of its connection.
pub(crate) trait Serve {
    /// Takes tasks, runs them and answers, until there are no more.
    fn serve(&mut self) -> End;
}

/// Why a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The master has said so.
    Requested,
    /// It cannot go on.
    Unable,
    /// Nobody is at the other end of its channel.
    Abandoned,
    /// A task has closed its channel.
    Robbed,
}

/// Why something does not get to a worker.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// It cannot be sent, to nobody.
    Refused(String),
    /// The worker is dead, and the watch will say so; or it cannot be reached, and has to be killed.
    Unreachable,
}

/// The other side has written what no partner writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl From<Broken> for Unsent {
    fn from(_: Broken) -> Self {
        Self::Unreachable
    }
}
