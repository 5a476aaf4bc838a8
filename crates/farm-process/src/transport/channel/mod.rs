//! The transport by the sockets of ipc-channel, one packet per message.
//!
//! A body of more than 16 KiB is put into a block of anonymous shared memory, whose descriptor the
//! packet carries. A worker has at most [`WINDOW`] tasks and one request to evict on their way to
//! it. These fit into any buffer, so no `send` waits for a worker that is busy, stopped or dead.
//! This transport is for comparison, and for systems that do not offer shared lanes.

mod body;
mod serve;
mod task_counter;

pub(crate) use self::body::Body;
pub(crate) use self::serve::ChannelServer;
pub(crate) use self::task_counter::TaskCounter;

use std::io;

use farm_core::backend::{Task, ToWorker};
use ipc_channel::ipc::IpcSender;

use super::control::Down;
use super::ipc::{Contained, send};
use super::{Connection, Connector, Link, TransportConfig, Unsent};

/// How many tasks a worker is sent at a time. With a second one, it would not have to wait for the
/// master, but a task in a channel cannot be stolen when the first takes long and another worker is
/// idle.
const WINDOW: usize = 1;

/// Connects workers by their control channels.
pub(crate) struct ChannelConnector;

impl Connector for ChannelConnector {
    fn window(&self) -> usize {
        WINDOW
    }

    fn connect(&self, control: &IpcSender<Down>) -> io::Result<Connection> {
        let counter = TaskCounter::new()?;
        let link =
            ChannelLink { control: Contained::new(control.clone()), counter: counter.clone() };
        let config = TransportConfig::Channel(counter);
        Ok(Connection { link: Box::new(link), config, files: Vec::new() })
    }
}

/// The master's end of a connection. Answers come by the control channel.
struct ChannelLink {
    control: Contained<IpcSender<Down>>,
    counter: TaskCounter,
}

impl ChannelLink {
    fn tell(&self, message: Down) -> Result<(), Unsent> {
        send(self.control.get(), message).map_err(|_| Unsent::Unreachable)
    }
}

impl Link for ChannelLink {
    fn send(&mut self, task: &Task) -> Result<(), Unsent> {
        // Arguments are never in memory to which others can write, so `as_slice` returns the bytes.
        let argument = task.argument.as_slice().unwrap_or_default();
        let body = Body::new(argument).map_err(Unsent::Refused)?;
        let head =
            ToWorker::Run { task: task.id(), attempt: task.attempt, function: task.function };
        self.tell(Down::Task { head, body })
    }

    fn request_eviction(&mut self) -> Result<(), Unsent> {
        self.tell(Down::Evict)
    }

    fn request_end(&mut self) -> Result<(), Unsent> {
        self.tell(Down::End)
    }

    fn taken_up(&self) -> u64 {
        self.counter.taken_up()
    }
}
