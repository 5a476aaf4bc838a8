//! When memory that a pool keeps for more work goes back to the system.

use std::time::Duration;

/// How long after its last work a pool keeps memory for more.
const REST: Duration = Duration::from_secs(3);

/// The times at which memory that is kept is to be looked at.
#[derive(Default)]
pub(crate) struct IdleMemory {
    /// When there was work last, if memory is kept from then.
    busy_until: Option<Duration>,
    /// How long after that it is looked at next.
    rest: Duration,
}

impl IdleMemory {
    /// Notes whether there is work now, and has memory given back once there has been none for a while:
    /// `give_back` says whether that was all. Returns when to look again.
    pub(crate) fn look(
        &mut self,
        now: Duration,
        is_busy: bool,
        give_back: impl FnOnce() -> bool,
    ) -> Option<Duration> {
        let since = if is_busy { now } else { self.busy_until? };
        self.busy_until = Some(since);
        if is_busy {
            self.rest = REST;
        }
        if now >= since + self.rest {
            // Results that nobody has read yet are looked at more and more seldom.
            self.rest = 2 * (now - since);
            if give_back() {
                self.busy_until = None;
                return None;
            }
        }
        Some(since + self.rest)
    }
}
