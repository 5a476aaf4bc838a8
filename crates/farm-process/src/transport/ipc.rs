//! Calls of ipc-channel that contain its panics and signals.
//!
//! `send` of ipc-channel blocks when the receiver's buffer is full, and a message that does not fit
//! into one packet blocks until it is read. [`control`](super::control) and
//! [`channel`](super::channel) explain why neither happens. A packet arrives as a whole or not at
//! all, so a sender that dies leaves no partial message.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::time::Duration;

use farm_os::limits::keep_standard_descriptors;
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::kill_points::at_message;
use crate::os::{signals, threads};

/// Whether an error means that the receiver of a message is gone.
pub(crate) fn is_gone(error: &IpcError) -> bool {
    match error {
        IpcError::Disconnected => true,
        IpcError::Io(error) => {
            matches!(Errno::from_io_error(error), Some(Errno::PIPE | Errno::CONNRESET))
        }
        IpcError::SerializationError(_) => false,
    }
}

/// How often a message is sent whose descriptors the system refuses to send, and the pause between
/// two attempts.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// Sends a message. If the receiver is gone, this is an error and not a signal.
pub(crate) fn send<T: Serialize + Send>(sender: &IpcSender<T>, message: T) -> Result<(), IpcError> {
    let send_by =
        |sender: &IpcSender<T>| contained(|| signals::without_sigpipe(|| sender.send(message)));
    at_message();
    // ipc-channel uses thread-locals, which are destroyed when a thread ends.
    let sent = if threads::has_thread_locals() {
        let sent = send_by(sender);
        threads::note_thread_locals();
        sent
    } else {
        let sender = sender.clone();
        threads::on_another_thread(move || send_by(&sender))
            .unwrap_or_else(|error| Err(error.into()))
    };
    at_message();
    sent
}

/// As [`send`], and tries again while the system has too many descriptors on their way.
pub(crate) fn send_patiently<T: Serialize + Send>(
    sender: &IpcSender<T>,
    message: impl Fn() -> T,
) -> Result<(), IpcError> {
    let mut attempts = 0;
    loop {
        match send(sender, message()) {
            Err(IpcError::Io(error))
                if Errno::from_io_error(&error) == Some(Errno::TOOMANYREFS)
                    && attempts < ATTEMPTS =>
            {
                attempts += 1;
                std::thread::sleep(PAUSE);
            }
            sent => return sent,
        }
    }
}

/// Waits for a message; a signal does not end the wait.
pub(crate) fn receive<T>(receiver: &IpcReceiver<T>) -> Result<T, IpcError>
where
    T: for<'de> Deserialize<'de> + Serialize,
{
    at_message();
    // Descriptors may arrive with the message, and must not get the numbers 0 to 2.
    keep_standard_descriptors();
    let received = loop {
        match contained(|| receiver.recv()) {
            Err(IpcError::Io(error)) if error.kind() == ErrorKind::Interrupted => {}
            received => break received,
        }
    };
    at_message();
    received
}

/// Calls ipc-channel, which panics if the system refuses memory or descriptors; returns such a
/// panic as an error.
pub(crate) fn contained<T>(call: impl FnOnce() -> Result<T, IpcError>) -> Result<T, IpcError> {
    farm_core::backend::contained(call)
        .unwrap_or_else(|said| Err(IpcError::Io(io::Error::other(why_refused(&said)))))
}

/// A part of ipc-channel that panics when it is dropped, if other code has closed its descriptor.
/// The panic is contained.
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

/// Why a call of ipc-channel has panicked, in one line.
pub(crate) fn why_refused(said: &str) -> String {
    // The limit on descriptors is the most frequent reason, so it is checked first.
    match File::open("/proc/self/stat").map_err(|error| Errno::from_io_error(&error)) {
        Err(Some(Errno::MFILE)) => {
            "no file descriptor is left (`ulimit -n` raises the limit)".to_owned()
        }
        Err(Some(Errno::NFILE)) => "no file descriptor is left in the system".to_owned(),
        _ => format!("ipc-channel has failed: {}", said.lines().collect::<Vec<_>>().join(" ")),
    }
}
