//! How the master reaches a worker that is up: by its lane, or by its channel alone.

use farm_core::{Payload, Task, ToWorker};
use ipc_channel::ipc::IpcSender;

use crate::lane::{Broken, MOST_INLINE, MasterEnd};
use crate::mark::Mark;
use crate::transport::{Body, Down, send};

pub(crate) enum Link {
    Channel { down: IpcSender<Down>, mark: Mark },
    Lane(Box<MasterEnd>),
}

/// Why something does not get to a worker.
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
            Self::Channel { down, .. } => {
                let body = Body::new(task.argument.as_ref()).map_err(Unsent::Refused)?;
                let (id, attempt) = (task.id(), task.attempt);
                let head = ToWorker::Run { task: id, attempt, function: task.function };
                tell(down, Down::Task { head, body })
            }
            Self::Lane(end) => {
                let bytes = task.argument.as_ref().len();
                if bytes > MOST_INLINE && matches!(task.argument, Payload::Owned(_)) {
                    return Err(Unsent::Refused(format!(
                        "there is no room for its {bytes} bytes among the arguments that wait"
                    )));
                }
                Ok(end.send(task)?)
            }
        }
    }

    /// Has the worker let go of arrays that the master has dropped.
    pub(crate) fn tell_to_let_go(&mut self) -> Result<(), Unsent> {
        match self {
            Self::Channel { down, .. } => tell(down, Down::LetGo),
            Self::Lane(end) => Ok(end.tell_to_let_go()?),
        }
    }

    /// Has the worker end once it has done what it was sent.
    pub(crate) fn tell_to_end(&mut self) -> Result<(), Unsent> {
        match self {
            Self::Channel { down, .. } => tell(down, Down::End),
            Self::Lane(end) => Ok(end.tell_to_end()?),
        }
    }

    /// How many items the worker has taken up in its life.
    pub(crate) fn taken_up(&self) -> u64 {
        match self {
            Self::Channel { mark, .. } => mark.taken_up(),
            Self::Lane(end) => end.taken_up(),
        }
    }

    pub(crate) fn lane(&mut self) -> Option<&mut MasterEnd> {
        match self {
            Self::Channel { .. } => None,
            Self::Lane(end) => Some(end),
        }
    }
}

fn tell(down: &IpcSender<Down>, message: Down) -> Result<(), Unsent> {
    send(down, message).map_err(|_| Unsent::Unreachable)
}
