//! Wakes the watch when it is needed earlier than it knew when it went to sleep.
//!
//! To [wake](PollWaker) it costs a system call and the waking of a thread, so it is done only if the watch sleeps, and config to
//! sleep for too long.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::poll_waker::{Ends, PollWaker};

pub(crate) struct Alarm {
    wake: PollWaker,
    sleep: Mutex<Sleep>,
}

enum Sleep {
    /// The watch is awake, and will be wanted at that time.
    Awake(Option<Duration>),
    /// It sleeps until that time.
    Until(Option<Duration>),
}

impl Alarm {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self { wake: PollWaker::new()?, sleep: Mutex::new(Sleep::Awake(None)) })
    }

    /// Sees to it that the watch is awake at `at`.
    pub(crate) fn wake_by(&self, at: Duration) {
        let mut sleep = self.sleep.lock();
        match &mut *sleep {
            Sleep::Awake(wanted) => *wanted = earlier(*wanted, Some(at)),
            Sleep::Until(Some(until)) if *until <= at => {}
            Sleep::Until(until) => {
                // Whoever comes next and can wait as long need not ring again.
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

    /// The watch is awake.
    pub(crate) fn mark_awake(&self) {
        self.wake.ends().drain();
        *self.sleep.lock() = Sleep::Awake(None);
    }

    /// The watch goes to sleep, and is told until when.
    pub(crate) fn mark_asleep(&self, until: Option<Duration>) -> Option<Duration> {
        let mut sleep = self.sleep.lock();
        let until = match *sleep {
            Sleep::Awake(wanted) => earlier(until, wanted),
            Sleep::Until(wanted) => earlier(until, wanted),
        };
        *sleep = Sleep::Until(until);
        until
    }

    /// What the watch sleeps on.
    pub(crate) fn ends(&self) -> Arc<Ends> {
        self.wake.ends()
    }
}

pub(crate) fn earlier(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}
