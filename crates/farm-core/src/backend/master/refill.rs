//! Decides when lost workers are replaced: at once, unless workers keep ending before they have
//! done any work. Such workers are replaced one at a time, after growing pauses.

use std::time::Duration;

/// The pause after a worker that ended before it had done any work. It doubles with each further
/// such worker, once there are as many in a row as the pool has workers.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
const MOST_DOUBLINGS: usize = 7;

/// How many workers more than the pool has may end in a row before doing any work. After them, the
/// pool is given up if no worker is left.
pub(super) const LAST_CHANCES: usize = 4;

#[derive(Debug)]
pub(super) struct Refill {
    workers: usize,
    /// The number of workers that have ended in a row without an answer, and without being charged.
    note_useless: usize,
    /// The time before which no worker may be started, if there are such workers.
    next: Duration,
}

impl Refill {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers, note_useless: 0, next: Duration::ZERO }
    }

    /// Notes that a worker has done work.
    pub(super) fn note_work(&mut self) {
        self.note_useless = 0;
    }

    /// Notes that a worker has ended before it had done any work.
    pub(super) fn note_useless(&mut self, now: Duration) {
        self.note_useless += 1;
        let doublings = self.note_useless.saturating_sub(self.workers).min(MOST_DOUBLINGS);
        self.next = now + FIRST_PAUSE * (1 << doublings);
    }

    /// After how many attempts the pool is to be given up, if no worker is left; `None` if it is
    /// not.
    pub(super) fn hopeless_after(&self) -> Option<usize> {
        (self.note_useless >= self.workers + LAST_CHANCES).then_some(self.note_useless)
    }

    /// When the next worker may be started; `None` for at once.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        (self.note_useless > 0 && self.next > now).then_some(self.next)
    }

    /// Notes that a worker is being started.
    pub(super) fn started(&mut self, now: Duration) {
        if self.note_useless > 0 {
            self.next = now + FIRST_PAUSE;
        }
    }
}
