//! Wakes the watch if it is needed earlier than it knew when it went to sleep.
//!
//! To [wake](PollWaker) it costs a system call and the waking of a thread. So this is done only if
//! the watch sleeps, and means to sleep for too long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::poll_waker::{Ends, PollWaker};

pub(crate) struct Alarm {
    wake: PollWaker,
    sleep: Mutex<Sleep>,
}

enum Sleep {
    /// The watch is awake, and is needed again at that time at the latest.
    Awake(Option<Duration>),
    /// The watch sleeps until that time.
    Until(Option<Duration>),
}

impl Alarm {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { wake: PollWaker::new()?, sleep: Mutex::new(Sleep::Awake(None)) })
    }

    /// Makes sure that the watch is awake at `at`.
    pub(crate) fn wake_by(&self, at: Duration) {
        let mut sleep = self.sleep.lock();
        match &mut *sleep {
            Sleep::Awake(wanted) => *wanted = earlier(*wanted, Some(at)),
            Sleep::Until(Some(until)) if *until <= at => {}
            Sleep::Until(until) => {
                // A later caller that can wait until `at` need not wake the watch again.
                *until = Some(at);
                drop(sleep);
                self.wake_now();
            }
        }
    }

    /// Wakes the watch now.
    pub(crate) fn wake_now(&self) {
        self.wake.wake();
    }

    /// Called by the watch when it is awake.
    pub(crate) fn mark_awake(&self) {
        self.wake.ends().drain();
        *self.sleep.lock() = Sleep::Awake(None);
    }

    /// Called by the watch before it sleeps; returns until when to sleep.
    pub(crate) fn mark_asleep(&self, until: Option<Duration>) -> Option<Duration> {
        let mut sleep = self.sleep.lock();
        let until = match *sleep {
            Sleep::Awake(wanted) => earlier(until, wanted),
            Sleep::Until(wanted) => earlier(until, wanted),
        };
        *sleep = Sleep::Until(until);
        until
    }

    /// The descriptors that the watch sleeps on.
    pub(crate) fn ends(&self) -> Arc<Ends> {
        self.wake.ends()
    }
}

pub(crate) fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}
