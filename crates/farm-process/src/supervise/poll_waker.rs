//! Wakes a thread that sleeps in poll(2).
//!
//! This is a pair of sockets and not an event descriptor (eventfd(2)), because one event descriptor
//! cannot be told from another, and so not from one that the program has opened under the number of
//! a closed one. A thread that sleeps holds the descriptors that it sleeps on, whatever number is
//! closed, and it wakes when the other end is closed.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};

use crate::os::descriptor::Own;

pub(crate) struct PollWaker(Mutex<Arc<Ends>>);

/// The two ends of a pair: a thread sleeps on `receiver`, and another wakes it by writing to
/// `waker`.
pub(crate) struct Ends {
    receiver: Own<OwnedFd>,
    waker: Own<OwnedFd>,
}

impl PollWaker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Arc::new(Ends::new()?))))
    }

    /// Wakes the thread that sleeps, or keeps it from going to sleep.
    pub(crate) fn wake(&self) {
        self.ends().wake();
    }

    /// The ends to sleep on. A thread that has woken must [drain](Ends::drain) them before it looks
    /// for what to do.
    pub(crate) fn ends(&self) -> Arc<Ends> {
        let mut ends = self.0.lock();
        if (ends.receiver.get().is_none() || ends.waker.get().is_none())
            && let Ok(new) = Ends::new()
        {
            // A thread may still sleep on the old ends.
            ends.wake();
            *ends = Arc::new(new);
        }
        ends.clone()
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        farm_os::limits::keep_standard_descriptors();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (receiver, waker) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok(Self { receiver: Own::new(receiver)?, waker: Own::new(waker)? })
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            // If the socket is full, a wakeup waits in it already.
            let _ = send(waker, &[1], SendFlags::NOSIGNAL);
        }
    }

    /// What to poll: it becomes readable when the thread is woken. `None` if the descriptor is
    /// lost.
    pub(crate) fn receiver(&self) -> Option<PollFd<'_>> {
        self.receiver.get().map(|receiver| PollFd::new(receiver, PollFlags::IN))
    }

    /// Removes the wakeups that have arrived.
    pub(crate) fn drain(&self) {
        if let Some(receiver) = self.receiver.get() {
            while let Ok((_, 64)) = recv(receiver, &mut [0; 64], RecvFlags::empty()) {}
        }
    }
}
