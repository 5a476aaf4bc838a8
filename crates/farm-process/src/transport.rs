//! What travels through ipc-channel.
//!
//! `send` of ipc-channel blocks when the receiver's buffer is full, and a message that does not fit into
//! one packet blocks until it is read. So nothing large goes through the socket: a body of more than
//! [`MOST_INLINE`] bytes is put into a block of anonymous shared memory, of which the packet carries the
//! descriptor. With a view of [`WINDOW`] tasks per worker, and one [`Down::Evict`], what is on its way to a worker
//! fits into any buffer, and no `send` waits for a worker that is busy, stopped or dead. Answers share one buffer, which
//! the service thread empties; it waits for nobody.
//!
//! A packet arrives whole or not at all, so a sender that dies leaves nothing torn.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use farm_core::WorkerId;
use farm_core::backend::{FromWorker, Payload, ToWorker};
use farm_core::codec::SharedBytes;
use farm_os::limits as system;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender, IpcSharedMemory};
use ipc_channel::{IpcError, TryRecvError};
use rustix::io::Errno;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::facts::SharedFacts;
use crate::lane::LaneDescriptors;
use crate::settings::Initializer;
use crate::task_counter::TaskCounter;
use crate::{signals, threads};

/// How many tasks a worker is sent at a time. A second one would spare it the wait for the master, but what is in a
/// channel cannot be taken back when the first takes long and another worker is idle.
pub(crate) const WINDOW: usize = 1;

/// The longest body that goes through the socket.
const MOST_INLINE: usize = 16 * 1024;

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
        /// A descriptor of the master's, see [`crate::image`].
        image: Option<RawFd>,
    },
    /// A task.
    Task { head: ToWorker, body: Body },
    /// Let go of arrays that the master has dropped, and answer [`Up::Evict`].
    Evict,
    /// No more tasks will come.
    End,
}

/// By what a worker takes its tasks.
#[derive(Serialize, Deserialize)]
pub(crate) enum TransportConfig {
    /// This channel: [`Down`] and [`Up`].
    Channel(TaskCounter),
    /// A [`lane`](crate::lane).
    Lane(LaneDescriptors),
}

/// From the workers, and from the pool's own threads, to the service thread.
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
    Evict { worker: WorkerId },
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
        system::check_file(bytes.len()).map_err(|error| error.to_string())?;
        system::keep_standard_descriptors();
        // ipc-channel panics where the system refuses it a block.
        farm_core::backend::contained(|| Self::Block(Some(IpcSharedMemory::from_bytes(bytes))))
            .map_err(|said| {
                format!("there is no block of {} bytes for it: {}", bytes.len(), why_refused(&said))
            })
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
struct Block(Contained<IpcSharedMemory>);

const MOST_BLOCKS: usize = 16;

/// How many there are. It orders nothing, hence `Relaxed`.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

impl Block {
    fn keep(block: IpcSharedMemory) -> Payload {
        if BLOCKS.fetch_add(1, Ordering::Relaxed) < MOST_BLOCKS {
            return Payload::Shared(Arc::new(Self(Contained::new(block))));
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

// SAFETY: all is copied, and the block has as many bytes as it says.
unsafe impl SharedBytes for Block {
    fn len(&self) -> usize {
        self.0.get().len()
    }

    fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
        let end = at.checked_add(to.len());
        assert!(end.is_some_and(|end| end <= self.len()), "it is within the block");
        // SAFETY: these bytes are mapped as long as `self` lives, and any are valid; whoever has sent them may write to them
        // meanwhile, so there is no reference to them.
        unsafe {
            let from = self.0.get().as_ptr().add(at).cast::<MaybeUninit<u8>>();
            to.as_mut_ptr().copy_from_nonoverlapping(from, to.len());
        }
    }
}

/// Whether nobody is there to receive what was sent.
pub(crate) fn is_gone(error: &IpcError) -> bool {
    match error {
        IpcError::Disconnected => true,
        IpcError::Io(error) => {
            matches!(Errno::from_io_error(error), Some(Errno::PIPE | Errno::CONNRESET))
        }
        IpcError::SerializationError(_) => false,
    }
}

/// Sends a message; a receiver that is gone is an error and not a signal.
pub(crate) fn send<T: Serialize + Send>(sender: &IpcSender<T>, message: T) -> Result<(), IpcError> {
    let send_by =
        |sender: &IpcSender<T>| contained(|| signals::without_sigpipe(|| sender.send(message)));
    at_boundary();
    // ipc-channel needs thread-locals of its own, which are gone when a thread ends.
    let sent = if threads::has_thread_locals() {
        let sent = send_by(sender);
        threads::note_thread_locals();
        sent
    } else {
        let sender = sender.clone();
        threads::elsewhere(move || send_by(&sender)).unwrap_or_else(|error| Err(error.into()))
    };
    at_boundary();
    sent
}

/// Waits for a message; a signal does not end the wait.
pub(crate) fn receive<T>(receiver: &IpcReceiver<T>) -> Result<T, IpcError>
where
    T: for<'de> Deserialize<'de> + Serialize,
{
    at_boundary();
    // What comes along with the message.
    system::keep_standard_descriptors();
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
    farm_core::backend::contained(call)
        .unwrap_or_else(|said| Err(IpcError::Io(io::Error::other(why_refused(&said)))))
}

/// A part of ipc-channel, which panics when it is dropped if somebody else has closed its descriptor.
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(part: T) -> Self {
        Self(Some(part))
    }

    pub(crate) fn get(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let _ = farm_core::backend::contained(|| drop(self.0.take()));
    }
}

/// StealReason a call of ipc-channel has panicked, in one line.
pub(crate) fn why_refused(said: &str) -> String {
    // The limit that is met most often, if it is that.
    match File::open("/proc/self/stat").map_err(|error| Errno::from_io_error(&error)) {
        Err(Some(Errno::MFILE)) => {
            "no file descriptor is left (`ulimit -n` raises the limit)".to_owned()
        }
        Err(Some(Errno::NFILE)) => "no file descriptor is left in the system".to_owned(),
        _ => format!("ipc-channel has failed: {}", said.lines().collect::<Vec<_>>().join(" ")),
    }
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

/// Opens the channel to the service thread, and uses it once: at its first use, ipc-channel asks the
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
