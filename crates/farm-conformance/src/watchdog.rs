//! Nothing waits for ever, a test least of all.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How long a body may take before it counts as hanging. None takes a tenth of that on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `body`; if it hangs, the test program is ended with its name.
pub fn guard(name: &'static str, body: impl FnOnce()) {
    let (done, wait) = mpsc::channel::<()>();
    let dog = std::thread::spawn(move || {
        if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs");
            std::process::abort();
        }
    });
    body();
    drop(done);
    dog.join().expect("the watchdog itself does not panic");
}
