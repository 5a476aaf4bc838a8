//! What travels through ipc-channel.
//!
//! `send` of ipc-channel blocks when the receiver's buffer is full, and a message that does not fit into
//! one packet blocks until it is read. So nothing large goes through the socket: a body of more than
//! [`MOST_INLINE`] bytes is put into a block of anonymous shared memory, of which the packet carries the
//! descriptor. With a window of [`WINDOW`] tasks per worker, and one [`Down::LetGo`], what is on its way to a worker
//! fits into any buffer, and no `send` waits for a worker that is busy, stopped or dead. Answers share one buffer, which
//! the service thread empties; it waits for nobody.
//!
//! A packet arrives whole or not at all, so a sender that dies leaves nothing torn.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use farm_core::{FromWorker, Payload, ToWorker, WorkerId};
use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender, IpcSharedMemory};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::lane::Way;
use crate::mark::Mark;
use crate::settings::Initializer;
use crate::signals;

/// How many tasks a worker is sent at a time. A second one would spare it the wait for the master, but what is in a
/// channel cannot be taken back when the first takes long and another worker is idle.
pub(crate) const WINDOW: usize = 1;

/// The longest body that goes through the socket.
const MOST_INLINE: usize = 16 * 1024;

/// The first message, through the address that the worker was started with.
#[derive(Serialize, Deserialize)]
pub(crate) enum Hello {
    /// A worker reports.
    Worker { build_id: Vec<u8>, down: IpcSender<Down> },
    /// The watch reports that the worker has died instead, which ends the wait for it.
    Gone,
}

/// From the master to a worker.
#[derive(Serialize, Deserialize)]
pub(crate) enum Down {
    /// Answers [`Hello::Worker`]. The worker answers [`Up::Ready`] or [`Up::Unready`].
    Welcome {
        worker: WorkerId,
        up: IpcSender<Up>,
        means: Means,
        memory_limit: Option<u64>,
        initializer: Option<Initializer>,
    },
    /// A task.
    Task { head: ToWorker, body: Body },
    /// Let go of arrays that the master has dropped, and answer [`Up::LetGo`].
    LetGo,
    /// No more tasks will come.
    End,
}

/// By what a worker takes its tasks.
#[derive(Serialize, Deserialize)]
pub(crate) enum Means {
    /// This channel: [`Down`] and [`Up`].
    Channel(Mark),
    /// A [`lane`](crate::lane).
    Lane(Way),
}

/// From the workers, and from the pool's own threads, to the service thread.
#[derive(Serialize, Deserialize)]
pub(crate) enum Up {
    /// A worker waits for tasks.
    Ready { worker: WorkerId },
    /// A worker cannot work, and ends.
    Unready { worker: WorkerId, reason: String },
    /// A worker answers.
    Message { worker: WorkerId, head: FromWorker, body: Body },
    /// A worker answers [`Down::LetGo`].
    LetGo { worker: WorkerId },
    /// The watch has seen a worker die. It sends this through the workers' own channel, behind the last
    /// message of the dead.
    Ended { worker: WorkerId },
    /// The pool ends.
    Closed,
}

/// The bytes beside a message.
#[derive(Serialize, Deserialize)]
pub(crate) enum Body {
    Inline(#[serde(with = "farm_core::plain")] Vec<u8>),
    Block(#[serde(deserialize_with = "block_if_it_came")] Option<IpcSharedMemory>),
}

impl Body {
    /// # Errors
    ///
    /// If there is no memory, or no file descriptor, for a large body.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() <= MOST_INLINE {
            return Ok(Self::Inline(bytes.to_vec()));
        }
        // ipc-channel panics where the system refuses it a block.
        catch_unwind(|| Self::Block(Some(IpcSharedMemory::from_bytes(bytes))))
            .map_err(|_| format!("the system has no block of {} bytes for it", bytes.len()))
    }

    /// # Errors
    ///
    /// If the block has not come along with its message.
    pub(crate) fn open(self) -> Result<Payload, String> {
        match self {
            Self::Inline(bytes) => Ok(bytes.into()),
            Self::Block(Some(block)) => Ok(Block::keep(block)),
            Self::Block(None) => Err("its block was lost on the way: no file descriptor is left \
                                      (`ulimit -n` raises the limit)"
                .to_owned()),
        }
    }
}

/// At the limit of file descriptors a message arrives without its block. That must not cost the head,
/// which says whose message it is.
fn block_if_it_came<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<IpcSharedMemory>, D::Error> {
    // An option is encoded as a tag and its content; the tag is always that of `Some`.
    struct Tagged;
    impl<'de> Visitor<'de> for Tagged {
        type Value = Option<IpcSharedMemory>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a block")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, content: D) -> Result<Self::Value, D::Error> {
            Ok(IpcSharedMemory::deserialize(content).ok())
        }
    }
    deserializer.deserialize_option(Tagged)
}

/// A block that has arrived. It holds a descriptor, of which a program has few, so no more than
/// [`MOST_BLOCKS`] are kept; the contents of further ones are copied.
struct Block(IpcSharedMemory);

const MOST_BLOCKS: usize = 16;

/// How many there are. It orders nothing, hence `Relaxed`.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

impl Block {
    fn keep(block: IpcSharedMemory) -> Payload {
        if BLOCKS.fetch_add(1, Ordering::Relaxed) < MOST_BLOCKS {
            return Payload::Mapped(Arc::new(Self(block)));
        }
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        block.to_vec().into()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Sends a message; a receiver that is gone is an error and not a signal.
pub(crate) fn send<T: Serialize>(sender: &IpcSender<T>, message: T) -> Result<(), IpcError> {
    at_boundary();
    let sent = contained(|| signals::without_sigpipe(|| sender.send(message)));
    at_boundary();
    sent
}

/// Waits for a message; a signal does not end the wait.
pub(crate) fn receive<T>(receiver: &IpcReceiver<T>) -> Result<T, IpcError>
where
    T: for<'de> Deserialize<'de> + Serialize,
{
    at_boundary();
    let received = loop {
        match contained(|| receiver.recv()) {
            Err(IpcError::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            received => break received,
        }
    };
    at_boundary();
    received
}

/// Where tests let workers die: between messages.
pub(crate) fn at_boundary() {
    #[cfg(test)]
    crate::boundaries::MESSAGES.pass();
}

/// Where tests let workers die: between the steps of a ring.
pub(crate) fn at_ring() {
    #[cfg(test)]
    crate::boundaries::RINGS.pass();
}

/// Where the system refuses memory or descriptors, ipc-channel panics; here that is an error.
fn contained<T>(call: impl FnOnce() -> Result<T, IpcError>) -> Result<T, IpcError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Err(IpcError::Io(io::Error::other("the system has refused memory or descriptors")))
    })
}

/// Opens the channel to the service thread, and uses it once: at its first use, ipc-channel asks the
/// system for things that it cannot do without later.
pub(crate) fn open() -> io::Result<(IpcSender<Up>, IpcReceiver<Up>)> {
    // What is refused then stays refused, so there must be descriptors to spare.
    let spare: Result<Vec<_>, _> = (0..8).map(|_| File::open("/dev/null")).collect();
    drop(spare?);
    let refused = |error: IpcError| io::Error::other(error.to_string());
    let (up, answers) = contained(|| ipc::channel().map_err(IpcError::Io)).map_err(refused)?;
    send(&up, Up::Closed).and_then(|()| receive(&answers)).map_err(refused)?;
    Ok((up, answers))
}
