//! How to look for something without sleeping.

use std::time::{Duration, Instant};

/// For how long nobody else is let in: what is worth to be looked for is mostly there by then.
const ALONE: Duration = Duration::from_nanos(250);

/// Looks until it is there, which is told, or until that is no longer wanted, being told how long it has taken.
///
/// Whoever is to bring it may have been put on this very core, and waits for it; so this thread stands back, which costs
/// next to nothing if nobody waits.
pub(crate) fn look(
    mut is_there: impl FnMut() -> bool,
    mut is_wanted: impl FnMut(Duration) -> bool,
) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..20 {
            if is_there() {
                return true;
            }
            std::hint::spin_loop();
        }
        let passed = start.elapsed();
        if !is_wanted(passed) {
            return false;
        }
        if passed > ALONE {
            std::thread::yield_now();
        }
    }
}
