//! How a worker gets its descriptors from its master: through a socket that is its standard input.
//!
//! A descriptor that is to be inherited at exec must not be closed at exec, and then any other program that
//! the master starts at that moment inherits it as well. So the master sends them (`SCM_RIGHTS`, see
//! unix(7)) before it starts the worker; the message waits in the socket, and is gone with it if the
//! worker never comes up.
//!
//! One of them is the receiver of the control channel. ipc-channel offers no other first contact than a
//! socket in a folder among the temporary files, which there need not be. But what it makes are pairs of
//! sockets. It does not tell the descriptor of a receiver, so that is found: by a token that is sent to it,
//! and waits there alone. The worker makes a channel of its own, and puts what it was handed in the place of
//! the receiver's descriptor.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use farm_os::limits::keep_standard_descriptors;
use ipc_channel::IpcError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use rustix::io::Errno;
use rustix::net::sockopt::socket_type;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, sendmsg, socketpair,
};
use rustix::stdio::stdin;
use serde::{Deserialize, Serialize};

use crate::transport::control::Down;

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
    keep_standard_descriptors();
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

/// A channel to a worker, and a copy of the descriptor of its receiver.
pub(crate) fn control_channel() -> io::Result<(IpcSender<Down>, OwnedFd)> {
    let (sender, receiver, number) = channel()?;
    // SAFETY: it is that of `receiver`, which is there until the end of this function.
    let copy = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
    drop(receiver);
    Ok((sender, copy))
}

/// What a worker gets when it starts.
pub(crate) struct Inherited {
    /// The channel by which the master controls it.
    pub(crate) control: IpcReceiver<Down>,
    /// By which it knows that its master is the same program still, see [`crate::supervise::image`].
    pub(crate) image: Option<OwnedFd>,
    /// By which it opens its end of the connection.
    pub(crate) files: Vec<OwnedFd>,
}

/// How many descriptors a worker can be handed.
const MOST_FILES: usize = 8;

/// How often the system is asked to take descriptors along that has too many of them on their way, and
/// the pause between.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// The socket that is to be the standard input of a worker. The descriptors wait in it.
///
/// # Errors
///
/// If the system refuses the socket, or to take so many descriptors along.
pub(crate) fn hand_over(
    control: OwnedFd,
    image: Option<OwnedFd>,
    files: Vec<OwnedFd>,
) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    let has_image = [u8::from(image.is_some())];
    let all = [control].into_iter().chain(image).chain(files).collect::<Vec<_>>();
    let all: Vec<BorrowedFd<'_>> = all.iter().map(AsFd::as_fd).collect();
    let mut attempts = 0;
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(&all)) {
            return Err(io::Error::other("these are more descriptors than a worker takes"));
        }
        let bytes = [IoSlice::new(&has_image)];
        match sendmsg(&ours, &bytes, &mut ancillary, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(theirs),
            // Of all programs of this user, more than it may have open: workers that start take theirs.
            Err(Errno::TOOMANYREFS) if attempts < ATTEMPTS => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
        attempts += 1;
    }
}

/// A worker takes what it was handed, and has an empty standard input from then on.
pub(crate) fn take() -> io::Result<Inherited> {
    keep_standard_descriptors();
    let (has_image, files) = receive_files()?;
    let mut files = files.into_iter();
    let control = files.next().ok_or_else(|| io::Error::other("the channel was lost"))?;
    let image = if has_image { files.next() } else { None };
    let (_, receiver, number) = channel()?;
    // SAFETY: the descriptor is that of `receiver`, which leads to what was handed over from then on, and
    // stays its only owner.
    if unsafe { libc::dup3(control.as_raw_fd(), number, libc::O_CLOEXEC) } != number {
        return Err(io::Error::last_os_error());
    }
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(Inherited { control: receiver, image, files: files.collect() })
}

/// What waits in the standard input: whether there is an image among the descriptors, and they.
fn receive_files() -> io::Result<(bool, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut has_image = [0];
    let mut bytes = [IoSliceMut::new(&mut has_image)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    while let Err(error) = recvmsg(stdin(), &mut bytes, &mut ancillary, flags) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    let files = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => files.collect(),
        _ => Vec::new(),
    });
    let files = files.collect();
    Ok((has_image[0] == 1, files))
}
