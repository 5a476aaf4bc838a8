//! The farm's own time, which stands still while the master is stopped.
//!
//! While there is work, the watch reads the clock several times a second. A gap of [`LONGEST`] or
//! more means that the master was stopped, by Ctrl-Z or a debugger, or that there was no work.
//! Tasks are not to blame for that, so such a gap counts as one [`BEAT`].

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// How often the clock is read while there is work, at least.
pub(crate) const BEAT: Duration = Duration::from_millis(250);

/// Shorter gaps between two readings count in full.
const LONGEST: Duration = Duration::from_secs(1);

/// Counts the time in which the master was not stopped. Any thread of the pool may read it.
pub(crate) struct Clock(Mutex<Reading>);

struct Reading {
    time: Duration,
    at: Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Reading { time: Duration::ZERO, at: Instant::now() }))
    }

    /// The time that has passed since the pool was made.
    pub(crate) fn now(&self) -> Duration {
        let mut last = self.0.lock();
        let at = Instant::now();
        let gap = at.saturating_duration_since(last.at);
        *last = Reading { time: last.time + counted(gap), at };
        last.time
    }
}

fn counted(gap: Duration) -> Duration {
    if gap < LONGEST { gap } else { BEAT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_the_master_was_stopped_does_not_count() {
        assert_eq!(counted(BEAT), BEAT);
        assert_eq!(counted(Duration::from_secs(3600)), BEAT);
    }
}
