//! How a worker gets its end of the channel from its master: as its standard input.
//!
//! ipc-channel offers no other first contact than a socket in a folder among the temporary files, which there need not be.
//! But what it makes are pairs of sockets, and a socket can be inherited. It does not tell the descriptor of a receiver, so
//! that is found: by a token that is sent to it, and waits there alone. The master gives a copy of the receiver's
//! descriptor to the worker. The worker makes a channel of its own, and puts what it has inherited in the place of the
//! receiver's descriptor.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use rustix::net::sockopt::socket_type;
use rustix::net::{RecvFlags, SocketType, recv};
use serde::{Deserialize, Serialize};

use crate::transport::Down;

/// How many descriptors after the next free one are looked at first.
const NEAR: RawFd = 16;

/// Bytes that nothing else sends.
#[derive(PartialEq, Serialize, Deserialize)]
struct Token([u8; 16]);

impl Token {
    fn new() -> Self {
        let half = |n: u8| RandomState::new().hash_one(n).to_ne_bytes();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&half(0));
        bytes[8..].copy_from_slice(&half(1));
        Self(bytes)
    }

    /// Whether it waits to be received there. Nothing is changed by asking.
    fn waits_at(&self, fd: BorrowedFd<'_>) -> bool {
        let mut packet = [0; 256];
        matches!(socket_type(fd), Ok(SocketType::SEQPACKET))
            && recv(fd, &mut packet, RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
            && packet.windows(self.0.len()).any(|bytes| bytes == self.0)
    }
}

/// A channel, and the descriptor of its receiver.
fn channel() -> io::Result<(IpcSender<Down>, IpcReceiver<Down>, RawFd)> {
    farm_os::limits::keep_standard_descriptors();
    let next = File::open("/dev/null")?.as_raw_fd();
    let (sender, receiver) = ipc::channel::<Token>()?;
    let failed =
        |error: IpcError| io::Error::other(format!("a new channel does not work: {error}"));
    let token = Token::new();
    sender.send(Token(token.0)).map_err(failed)?;
    let waits_at = |number: &RawFd| {
        // SAFETY: it is used for questions only, whatever it is; one that is closed, or opened anew meanwhile, answers that
        // the token is not there.
        token.waits_at(unsafe { BorrowedFd::borrow_raw(*number) })
    };
    let number = (next..next + NEAR)
        .find(waits_at)
        .or_else(|| numbers().find(waits_at))
        .ok_or_else(|| io::Error::other("the descriptor of a new channel is not found in /proc"))?;
    if receiver.recv().map_err(failed)? != token {
        return Err(io::Error::other("a new channel does not give back what is sent"));
    }
    Ok((sender.to_opaque().to(), receiver.to_opaque().to(), number))
}

/// The descriptors of this process.
fn numbers() -> impl Iterator<Item = RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// A channel to a worker, and its end of that, for its standard input.
pub(crate) fn open() -> io::Result<(IpcSender<Down>, OwnedFd)> {
    if ENDING.load(Ordering::Relaxed) {
        return Err(io::Error::other("the program is ending"));
    }
    let (sender, receiver, number) = channel()?;
    // SAFETY: it is that of `receiver`, which is there until the end of this function.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
    drop(receiver);
    Ok((sender, inherited))
}

/// A worker takes its end of the channel, and has an empty standard input from then on.
pub(crate) fn go() -> io::Result<IpcReceiver<Down>> {
    let (_, receiver, number) = channel()?;
    // SAFETY: the descriptor is that of `receiver`, which leads to what is inherited from then on, and stays its only owner.
    if unsafe { libc::dup3(0, number, libc::O_CLOEXEC) } != number {
        return Err(io::Error::last_os_error());
    }
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(receiver)
}

/// Set once, before the program ends; it guards no other data.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Lets no pool of this program start another worker.
///
/// This is for a program that is about to end without dropping its pools, as on Ctrl-C. Workers need no
/// such care: they end with the program.
pub fn prepare_exit() {
    ENDING.store(true, Ordering::Relaxed);
}
