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

use crate::descriptor::Own;

pub(crate) struct Wake(Mutex<Arc<Ends>>);

/// What is slept on, and what is rung.
pub(crate) struct Ends {
    ear: Own<OwnedFd>,
    bell: Own<OwnedFd>,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Mutex::new(Arc::new(Ends::new()?))))
    }

    /// Wakes who sleeps, or is about to.
    pub(crate) fn ring(&self) {
        self.ends().ring();
    }

    /// What to sleep on. Who has slept, and before it looks for what to do, [hears](Ends::hear).
    pub(crate) fn ends(&self) -> Arc<Ends> {
        let mut ends = self.0.lock();
        if (ends.ear.get().is_none() || ends.bell.get().is_none())
            && let Ok(new) = Ends::new()
        {
            // For who sleeps on the old.
            ends.ring();
            *ends = Arc::new(new);
        }
        ends.clone()
    }
}

impl Ends {
    fn new() -> io::Result<Self> {
        farm_core::system::keep_standard_descriptors();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ear, bell) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok(Self { ear: Own::new(ear)?, bell: Own::new(bell)? })
    }

    fn ring(&self) {
        if let Some(bell) = self.bell.get() {
            // Where it is full, it has been rung.
            let _ = send(bell, &[1], SendFlags::NOSIGNAL);
        }
    }

    /// What becomes readable when it is rung, as long as it is there.
    pub(crate) fn ear(&self) -> Option<PollFd<'_>> {
        self.ear.get().map(|ear| PollFd::new(ear, PollFlags::IN))
    }

    /// Takes what has been rung.
    pub(crate) fn hear(&self) {
        if let Some(ear) = self.ear.get() {
            while let Ok((_, 64)) = recv(ear, &mut [0; 64], RecvFlags::empty()) {}
        }
    }
}
