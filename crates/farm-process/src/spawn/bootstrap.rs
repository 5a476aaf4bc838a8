//! How a worker gets its descriptors from its master: through a socket that is its standard input.
//!
//! A descriptor that a child inherits across exec must not have the close-on-exec flag, and then
//! any other program that the master starts at that moment inherits it as well. So the master sends
//! the descriptors (`SCM_RIGHTS`, see unix(7)) before it starts the worker. The message waits in
//! the socket, and disappears with it if the worker never comes up.
//!
//! One of the descriptors is the receiver of the control channel. For a first contact, ipc-channel
//! only offers a socket in the folder for temporary files, which may not exist. But its channels
//! are pairs of sockets, and these can be handed over. ipc-channel does not tell the descriptor of
//! a receiver. It is found by a token, which is sent through the channel and waits in that
//! descriptor alone. The worker makes a channel of its own, and puts the descriptor that it was
//! handed in the place of the receiver's.

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

/// How many descriptors, from the next free one on, are searched first.
const NEAR: RawFd = 16;

/// Random bytes that no other message contains.
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

    /// Whether the token waits to be received at `fd`. Asking changes nothing there.
    fn waits_at(&self, fd: BorrowedFd<'_>) -> bool {
        let mut packet = [0; 256];
        matches!(socket_type(fd), Ok(SocketType::SEQPACKET))
            && recv(fd, &mut packet, RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok()
            && packet.windows(self.0.len()).any(|bytes| bytes == self.0)
    }
}

/// Makes a channel; also returns the descriptor of its receiver.
fn channel() -> io::Result<(IpcSender<Down>, IpcReceiver<Down>, RawFd)> {
    keep_standard_descriptors();
    let next = File::open("/dev/null")?.as_raw_fd();
    let (sender, receiver) = ipc::channel::<Token>()?;
    let failed =
        |error: IpcError| io::Error::other(format!("a new channel does not work: {error}"));
    let token = Token::new();
    sender.send(Token(token.0)).map_err(failed)?;
    let waits_at = |number: &RawFd| {
        // SAFETY: the descriptor is only queried, whatever it is. If it is closed, or opened anew
        // meanwhile, the answer is that the token is not there.
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

/// The numbers of the open descriptors of this process.
fn numbers() -> impl Iterator<Item = RawFd> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Makes a channel to a worker; returns its sender, and a copy of the descriptor of its receiver.
pub(crate) fn control_channel() -> io::Result<(IpcSender<Down>, OwnedFd)> {
    let (sender, receiver, number) = channel()?;
    // SAFETY: the descriptor is that of `receiver`, which lives until after the copy is made.
    let copy = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
    drop(receiver);
    Ok((sender, copy))
}

/// The descriptors that a worker gets when it starts.
pub(crate) struct Inherited {
    /// The channel by which the master controls the worker.
    pub(crate) control: IpcReceiver<Down>,
    /// Tells the worker whether its master is still the same program; see
    /// [`crate::supervise::image`].
    pub(crate) image: Option<OwnedFd>,
    /// The descriptors by which the worker opens its end of the connection.
    pub(crate) files: Vec<OwnedFd>,
}

/// The largest number of descriptors that a worker can be handed.
const MOST_FILES: usize = 8;

/// How often the master tries to send descriptors while the system has too many of them on their
/// way, and the pause between two attempts.
const ATTEMPTS: u32 = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// Makes the socket that will be the standard input of a worker, and sends the descriptors into it.
///
/// # Errors
///
/// If the system refuses the socket, or refuses to send so many descriptors.
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
            // The processes of this user have sent more descriptors that are not received yet than
            // one process may open. Starting workers receive theirs soon.
            Err(Errno::TOOMANYREFS) if attempts < ATTEMPTS => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
        attempts += 1;
    }
}

/// Receives the descriptors that this worker was handed, and makes its standard input empty.
pub(crate) fn take() -> io::Result<Inherited> {
    keep_standard_descriptors();
    let (has_image, files) = receive_files()?;
    let mut files = files.into_iter();
    let control = files.next().ok_or_else(|| io::Error::other("the channel was lost"))?;
    let image = if has_image { files.next() } else { None };
    let (_, receiver, number) = channel()?;
    // SAFETY: `number` is the descriptor of `receiver`, which stays its only owner. After the call
    // it leads to the socket that was handed over.
    if unsafe { libc::dup3(control.as_raw_fd(), number, libc::O_CLOEXEC) } != number {
        return Err(io::Error::last_os_error());
    }
    let nothing = File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(Inherited { control: receiver, image, files: files.collect() })
}

/// Receives the message that waits in the standard input: whether there is an image among the
/// descriptors, and the descriptors.
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
