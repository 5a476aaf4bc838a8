//! The control channel: messages by ipc-channel that start, control and end workers.
//!
//! Each worker has a channel from the master ([`Down`]); all workers of a pool share one to the master
//! ([`Up`]), which the control thread reads. Where tasks travel by [`channel`](super::channel), they
//! take the same way. Nothing large goes through a socket once a worker is ready, so no `send` to it
//! waits; answers share one buffer, which the control thread empties, and that waits for nobody.

use std::fs::File;
use std::io;

use farm_core::WorkerId;
use farm_core::backend::{FromWorker, ToWorker};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use ipc_channel::{IpcError, TryRecvError};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::TransportConfig;
use super::channel::Body;
use super::facts::SharedFacts;
use super::ipc::{contained, receive, send};
use crate::pool::settings::Initializer;

/// From the master to a worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum Down {
    /// The first message. The worker answers [`Up::Met`], and then [`Up::Ready`] or [`Up::Unready`].
    Welcome {
        worker: WorkerId,
        up: IpcSender<Up>,
        config: TransportConfig,
        memory_limit: Option<u64>,
        initializer: Option<Initializer>,
        facts: SharedFacts,
    },
    /// A task.
    Task { head: ToWorker, body: Body },
    /// Unmap the arrays that the master has dropped, and answer [`Up::Evicted`].
    Evict,
    /// No more tasks will come.
    End,
}

/// From the workers, and from the pool's own threads, to the control thread.
#[derive(Serialize, Deserialize)]
pub(crate) enum Up {
    /// A worker has come to where it learns that it is one.
    Met { worker: WorkerId },
    /// A worker waits for tasks.
    Ready { worker: WorkerId },
    /// A worker cannot work, and ends.
    Unready { worker: WorkerId, reason: String },
    /// A worker answers.
    Message { worker: WorkerId, head: FromWorker, body: Body },
    /// A worker answers [`Down::Evict`].
    Evicted { worker: WorkerId },
    /// The watch has seen a worker die. It sends this through the workers' own channel, behind the last
    /// message of the dead.
    Ended { worker: WorkerId },
    /// The pool ends.
    Closed,
}

/// What workers say, and the pool's own threads.
pub(crate) struct Answers(Option<IpcReceiver<Up>>);

/// StealReason nothing is heard.
pub(crate) enum Unheard {
    /// What has come cannot be read.
    Unreadable,
    /// The channel is closed.
    Gone,
}

impl Answers {
    /// Waits for a message.
    pub(crate) fn receive(&self) -> Result<Up, Unheard> {
        let Some(answers) = &self.0 else { return Err(Unheard::Gone) };
        receive(answers).map_err(|error| match error {
            IpcError::Disconnected => Unheard::Gone,
            IpcError::Io(error) => match Errno::from_io_error(&error) {
                Some(Errno::BADF | Errno::NOTSOCK | Errno::INVAL | Errno::NOTCONN) => Unheard::Gone,
                _ => Unheard::Unreadable,
            },
            _ => Unheard::Unreadable,
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // What somebody has opened under its number is not to be closed here, and ipc-channel panics where it is closed.
        let Some(answers) = self.0.take() else { return };
        let waiting = contained(|| Ok(answers.try_recv()));
        if !matches!(waiting, Ok(Ok(_) | Err(TryRecvError::Empty))) {
            std::mem::forget(answers);
        }
    }
}

/// Opens the channel to the control thread, and uses it once: at its first use, ipc-channel asks the
/// system for things that it cannot do without later.
pub(crate) fn open() -> io::Result<(IpcSender<Up>, Answers)> {
    // What is refused then stays refused, so there must be descriptors to spare.
    let spare: Result<Vec<_>, _> = (0..8).map(|_| File::open("/dev/null")).collect();
    drop(spare?);
    let refused = |error: IpcError| io::Error::other(error.to_string());
    let (up, answers) = contained(|| ipc::channel().map_err(IpcError::Io)).map_err(refused)?;
    send(&up, Up::Closed).and_then(|()| receive(&answers)).map_err(refused)?;
    Ok((up, Answers(Some(answers))))
}
