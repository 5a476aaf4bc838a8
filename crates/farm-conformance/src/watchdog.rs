//! The time limit of a test, so that a test that hangs ends.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The time after which a body counts as hanging. No body takes a tenth of it on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `body`; if it hangs, prints `name` and aborts the test program.
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
