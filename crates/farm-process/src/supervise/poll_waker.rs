//! Wakes a thread that sleeps in poll(2).
//!
//! It is a pair of sockets and not an event descriptor: one of those cannot be told from another, and so not from what the
//! program has opened under the number of one that it has closed. Who sleeps holds what it sleeps on, whatever is closed; and
//! it wakes when the other end is.

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

/// What is slept on, and what is rung.
pub(crate) struct Ends {
    receiver: Own<OwnedFd>,
    waker: Own<OwnedFd>,
}

impl PollWaker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Arc::new(Ends::new()?))))
    }

    /// Wakes who sleeps, or is about to.
    pub(crate) fn wake(&self) {
        self.ends().wake();
    }

    /// What to sleep on. Who has slept, and before it looks for what to do, [hears](Ends::drain).
    pub(crate) fn ends(&self) -> Arc<Ends> {
        let mut ends = self.0.lock();
        if (ends.receiver.get().is_none() || ends.waker.get().is_none())
            && let Ok(new) = Ends::new()
        {
            // For who sleeps on the old.
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
            // Where it is full, it has been rung.
            let _ = send(waker, &[1], SendFlags::NOSIGNAL);
        }
    }

    /// What becomes readable when it is rung, as long as it is there.
    pub(crate) fn receiver(&self) -> Option<PollFd<'_>> {
        self.receiver.get().map(|receiver| PollFd::new(receiver, PollFlags::IN))
    }

    /// Takes what has been rung.
    pub(crate) fn drain(&self) {
        if let Some(receiver) = self.receiver.get() {
            while let Ok((_, 64)) = recv(receiver, &mut [0; 64], RecvFlags::empty()) {}
        }
    }
}
