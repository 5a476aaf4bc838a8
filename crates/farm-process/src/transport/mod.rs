//! How tasks and results travel between the master and its workers.
//!
//! There are two transports, which do the same: [`lane`] by memory that each worker shares with its
//! master, and [`channel`] by the sockets of ipc-channel. A [`Connector`] makes the connection to
//! each new worker. The master holds its [`Link`], and the worker serves at the other end. With
//! both transports, ipc-channel starts, controls and ends the workers ([`control`]).

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
    /// How many tasks a worker is sent before it has answered the first of them.
    fn window(&self) -> usize;

    /// Makes the connection to a new worker, which is controlled by `control`.
    ///
    /// # Errors
    ///
    /// If the system refuses memory or descriptors for it.
    fn connect(&self, control: &IpcSender<Down>) -> io::Result<Connection>;

    /// The arena for long arguments, if this transport has one.
    fn arena(&self) -> Option<&Arc<Arena>> {
        None
    }

    /// The waker by which workers wake the master; `None` if their answers come by the control
    /// channel.
    fn master_waker(&self) -> Option<&Arc<MasterWaker<Block>>> {
        None
    }
}

/// A new connection between the master and a worker.
pub(crate) struct Connection {
    /// The master's end.
    pub(crate) link: Box<dyn Link>,
    /// What the worker is told about its own end.
    pub(crate) config: TransportConfig,
    /// The descriptors by which the worker opens its end.
    pub(crate) files: Vec<OwnedFd>,
}

/// What a worker is told about its end of a connection.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum TransportConfig {
    /// Tasks come by the control channel.
    Channel(TaskCounter),
    /// Tasks come by a lane.
    Lane(lane::Reserved),
}

/// The master's end of the connection to one worker.
pub(crate) trait Link: Send {
    /// Sends a task, with all of its items that are left.
    fn send(&mut self, task: &Task) -> Result<(), Unsent>;

    /// Has the worker unmap the arrays that the master has dropped.
    fn request_eviction(&mut self) -> Result<(), Unsent>;

    /// Has the worker end once it has finished the tasks that it was sent.
    fn request_end(&mut self) -> Result<(), Unsent>;

    /// How many items the worker has taken up in its life.
    fn taken_up(&self) -> u64;

    /// The next event that the worker has reported by this link. Workers of the channel report by
    /// the control channel instead.
    fn poll(&mut self) -> Result<Option<WorkerEvent>, Broken> {
        Ok(None)
    }

    /// Called when all events have been polled, with `any` if there were some: sends messages that
    /// have been waiting for room.
    fn flush(&mut self, any: bool) -> Result<(), Broken> {
        let _ = any;
        Ok(())
    }

    /// Takes items of a task back that the worker has not taken up.
    fn steal(&mut self, task: TaskId, amount: StealAmount) -> Option<Range<u32>> {
        let _ = (task, amount);
        None
    }

    /// The results of a batch that a dead worker had computed and not yet sent; `answered` is the
    /// number of items that the worker has answered.
    fn left_behind(&mut self, answered: u64) -> Option<(Answer, Payload)> {
        let _ = answered;
        None
    }

    /// Never polls the worker again, because it has written something invalid.
    fn give_up(&mut self) {}

    /// A view that tells, without the dispatcher's lock, whether there is something to poll.
    fn view(&self) -> Option<LaneView> {
        None
    }

    /// Tells the worker whether it may look for its next task without sleeping.
    fn allow_spinning(&mut self, allowed: bool) {
        let _ = allowed;
    }

    /// Gives memory that is not in use back to the system; returns whether all of it is given back.
    fn give_back_idle(&mut self) -> bool {
        true
    }
}

/// An event that a worker reports by its link.
pub(crate) enum WorkerEvent {
    /// Items of a task have ended; [`outcome`] decodes `body`.
    Done { answer: Answer, ending: Ending, body: Payload },
    /// The worker has unmapped the arrays that the master has dropped.
    Evicted,
}

/// The worker's end of its connection.
pub(crate) trait Serve {
    /// Takes tasks, runs them and answers, until the worker has to end.
    fn serve(&mut self) -> End;
}

/// Why a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The master has asked for it.
    Requested,
    /// The worker cannot go on.
    Unable,
    /// The master's end of a channel is closed.
    Abandoned,
    /// A task has closed the worker's end of its channel.
    DescriptorsLost,
}

/// Why a message could not be sent to a worker.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// It could not be sent to any worker, for this reason.
    Refused(String),
    /// The worker is dead, and the watch will report that; or it cannot be reached, and has to be
    /// killed.
    Unreachable,
}

/// The other side has written something that is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

impl From<Broken> for Unsent {
    fn from(_: Broken) -> Self {
        Self::Unreachable
    }
}
