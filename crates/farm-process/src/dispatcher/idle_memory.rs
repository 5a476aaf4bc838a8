//! Decides when the memory that a pool keeps for further work goes back to the system.

use std::time::Duration;

/// How long a pool keeps memory after its last work.
const REST: Duration = Duration::from_secs(3);

/// The times at which to look at the memory that is kept.
#[derive(Default)]
pub(crate) struct IdleMemory {
    /// When there was work last; `None` if no memory is kept.
    busy_until: Option<Duration>,
    /// How long after that to look next.
    rest: Duration,
}

impl IdleMemory {
    /// Notes whether there is work now, and calls `give_back` once there has been none for a while.
    /// `give_back` returns whether all memory was given back. Returns when to look again.
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
            // Results that have not been read keep their memory. They are looked at less and less
            // often.
            self.rest = 2 * (now - since);
            if give_back() {
                self.busy_until = None;
                return None;
            }
        }
        Some(since + self.rest)
    }
}
