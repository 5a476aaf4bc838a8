//! When lost workers are replaced: at once; but where workers keep ending before they do any work, one at a
//! time and with growing pauses.

use std::time::Duration;

/// The pause before a worker is replaced, after so many as the pool has have ended in vain; it doubles with
/// each further one.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MOST_DOUBLINGS: usize = 7;

/// How many workers beyond the number of the pool may end in vain, none being left, before the pool is given
/// up.
pub(super) const LAST_CHANCES: usize = 4;

#[derive(Debug)]
pub(super) struct Refill {
    workers: usize,
    /// Workers that ended in a row without having answered or been charged.
    note_useless: usize,
    /// When the next worker may be started, while workers end in vain.
    next: Duration,
}

impl Refill {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, note_useless: 0, next: Duration::ZERO }
    }

    /// Workers do work.
    pub(super) fn note_work(&mut self) {
        self.note_useless = 0;
    }

    /// A worker has ended before it did any work.
    pub(super) fn note_useless(&mut self, now: Duration) {
        self.note_useless += 1;
        let doublings = self.note_useless.saturating_sub(self.workers).min(MOST_DOUBLINGS);
        self.next = now + FIRST_PAUSE * (1 << doublings);
    }

    /// Whether the pool is to be given up if no worker is left, and after how many attempts.
    pub(super) fn hopeless_after(&self) -> Option<usize> {
        (self.note_useless >= self.workers + LAST_CHANCES).then_some(self.note_useless)
    }

    /// When the next worker may be started; `None` for at once.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        (self.note_useless > 0 && self.next > now).then_some(self.next)
    }

    /// A worker is being started.
    pub(super) fn started(&mut self, now: Duration) {
        if self.note_useless > 0 {
            self.next = now + FIRST_PAUSE;
        }
    }
}
