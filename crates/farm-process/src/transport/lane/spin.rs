//! Looking for something without sleeping.

use std::time::{Duration, Instant};

/// How long a thread looks before it begins to yield its core between two looks. Most of what is
/// worth looking for arrives within this time.
const ALONE: Duration = Duration::from_nanos(250);

/// Calls `is_there` again and again. Returns `true` once `is_there` does, and `false` once
/// `is_wanted` returns `false`. `is_wanted` is given the time that has passed.
///
/// The thread that is awaited may have been put on the same core, and then waits for this thread to
/// stop. So this thread yields, which costs next to nothing if no other thread wants the core.
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
