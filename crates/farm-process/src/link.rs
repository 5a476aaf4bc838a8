//! How the master reaches a worker that is up: by its lane, or by its channel alone.

use farm_core::backend::{Payload, Task, ToWorker};
use farm_os::limits::check_file;
use ipc_channel::ipc::IpcSender;

use crate::lane::{Broken, MOST_INLINE, MasterEnd};
use crate::task_counter::TaskCounter;
use crate::transport::{Body, Contained, Down, send};

pub(crate) enum Link {
    Channel(Contained<(IpcSender<Down>, TaskCounter)>),
    Lane(Box<MasterEnd>),
}

/// StealReason something does not get to a worker.
pub(crate) enum Unsent {
    /// It cannot be sent, to nobody.
    Refused(String),
    /// The worker is dead, and the watch will say so; or it cannot be reached, and has to be.
    Unreachable,
}

impl From<Broken> for Unsent {
    fn from(_: Broken) -> Self {
        Self::Unreachable
    }
}

impl Link {
    pub(crate) fn send(&mut self, task: &Task) -> Result<(), Unsent> {
        match self {
            Self::Channel(channel) => {
                // Only results lie where others can write.
                let argument = task.argument.as_slice().unwrap_or_default();
                let body = Body::new(argument).map_err(Unsent::Refused)?;
                let (id, attempt) = (task.id(), task.attempt);
                let head = ToWorker::Run { task: id, attempt, function: task.function };
                tell(channel, Down::Task { head, body })
            }
            Self::Lane(end) => {
                let bytes = task.argument.len();
                if bytes > MOST_INLINE && matches!(task.argument, Payload::Owned(_)) {
                    return Err(Unsent::Refused(why_no_room(bytes)));
                }
                Ok(end.send(task)?)
            }
        }
    }

    /// Has the worker let go of arrays that the master has dropped.
    pub(crate) fn request_eviction(&mut self) -> Result<(), Unsent> {
        match self {
            Self::Channel(channel) => tell(channel, Down::Evict),
            Self::Lane(end) => Ok(end.request_eviction()?),
        }
    }

    /// Has the worker end once it has done what it was sent.
    pub(crate) fn tell_to_end(&mut self) -> Result<(), Unsent> {
        match self {
            Self::Channel(channel) => tell(channel, Down::End),
            Self::Lane(end) => Ok(end.tell_to_end()?),
        }
    }

    /// How many items the worker has taken up in its life.
    pub(crate) fn taken_up(&self) -> u64 {
        match self {
            Self::Channel(channel) => channel.get().1.taken_up(),
            Self::Lane(end) => end.taken_up(),
        }
    }

    pub(crate) fn lane(&mut self) -> Option<&mut MasterEnd> {
        match self {
            Self::Channel(_) => None,
            Self::Lane(end) => Some(end),
        }
    }
}

/// StealReason so many bytes of an argument do not lie where workers could read them.
fn why_no_room(bytes: usize) -> String {
    match check_file(bytes) {
        Err(error) => error.to_string(),
        Ok(()) => format!("there is no room for its {bytes} bytes among the arguments that wait"),
    }
}

fn tell(channel: &Contained<(IpcSender<Down>, TaskCounter)>, message: Down) -> Result<(), Unsent> {
    send(&channel.get().0, message).map_err(|_| Unsent::Unreachable)
}
