//! The control channel: messages by ipc-channel that start, control and end workers.
//!
//! Each worker has a channel from the master ([`Down`]). All workers of a pool share one to the
//! master ([`Up`]), which the control thread reads. If tasks travel by [`channel`](super::channel),
//! they and their answers are messages of these channels too. Once a worker is ready, nothing large
//! goes through a socket, so no `send` to the worker waits. The answers share one buffer; the
//! control thread empties it, and waits for no other thread.

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

/// A message from the master to a worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum Down {
    /// The first message. The worker answers [`Up::Met`], then [`Up::Ready`] or [`Up::Unready`].
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

/// A message from a worker, or from one of the pool's own threads, to the control thread.
#[derive(Serialize, Deserialize)]
pub(crate) enum Up {
    /// A worker has come to `init` and received its welcome.
    Met { worker: WorkerId },
    /// A worker is ready for tasks.
    Ready { worker: WorkerId },
    /// A worker cannot work, and ends.
    Unready { worker: WorkerId, reason: String },
    /// A worker answers a task.
    Message { worker: WorkerId, head: FromWorker, body: Body },
    /// A worker answers [`Down::Evict`].
    Evicted { worker: WorkerId },
    /// A worker is dead. The watch sends this through the workers' own channel, so that it arrives
    /// after the last message of the dead worker.
    Ended { worker: WorkerId },
    /// The pool ends.
    Closed,
}

/// The receiver of the messages to the control thread; `None` only while it is dropped.
pub(crate) struct Answers(Option<IpcReceiver<Up>>);

/// Why no message was received.
pub(crate) enum ReceiveError {
    /// A message has arrived that cannot be decoded.
    Unreadable,
    /// The channel is closed.
    Gone,
}

impl Answers {
    /// Waits for a message.
    pub(crate) fn receive(&self) -> Result<Up, ReceiveError> {
        let Some(answers) = &self.0 else { return Err(ReceiveError::Gone) };
        receive(answers).map_err(|error| match error {
            IpcError::Disconnected => ReceiveError::Gone,
            IpcError::Io(error) => match Errno::from_io_error(&error) {
                Some(Errno::BADF | Errno::NOTSOCK | Errno::INVAL | Errno::NOTCONN) => {
                    ReceiveError::Gone
                }
                _ => ReceiveError::Unreadable,
            },
            _ => ReceiveError::Unreadable,
        })
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // If the descriptor is closed, ipc-channel panics when it closes it again. If other code
        // has opened something else under its number, that must not be closed here.
        let Some(answers) = self.0.take() else { return };
        let waiting = contained(|| Ok(answers.try_recv()));
        if !matches!(waiting, Ok(Ok(_) | Err(TryRecvError::Empty))) {
            std::mem::forget(answers);
        }
    }
}

/// Opens the channel to the control thread, and sends one message through it: at its first use,
/// ipc-channel asks the system for resources that it needs from then on.
pub(crate) fn open() -> io::Result<(IpcSender<Up>, Answers)> {
    // What the system refuses at that moment stays refused, so a few descriptors must be free.
    let spare: Result<Vec<_>, _> = (0..8).map(|_| File::open("/dev/null")).collect();
    drop(spare?);
    let refused = |error: IpcError| io::Error::other(error.to_string());
    let (up, answers) = contained(|| ipc::channel().map_err(IpcError::Io)).map_err(refused)?;
    send(&up, Up::Closed).and_then(|()| receive(&answers)).map_err(refused)?;
    Ok((up, Answers(Some(answers))))
}
