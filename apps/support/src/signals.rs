//! Ctrl-C and SIGTERM: clean up, one line, exit with 130 or 143.
//!
//! A handler may do next to nothing, so a thread waits for the signal and does the work: it takes
//! the output mutex for good (no other thread makes or renames a file from here on, nor ends the
//! program), removes unfinished files, takes the bar off the terminal, cleans up, says so and
//! exits. A second signal means that the user has no patience left: the handler itself ends the
//! program, whatever the thread is waiting for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::exit::{self, Failure};
use crate::{output, progress};

/// Runs `clean` and ends the program when it is told to stop; call it once, early in `main`.
///
/// `clean` runs on a thread of its own while the others go on, and must not write output files. A
/// panic in it does not change the exit code.
///
/// # Errors
/// [`Failure::Run`] if the system refuses the handlers or the thread.
pub fn on_stop(clean: impl Fn() + Send + 'static) -> Result<(), Failure> {
    install(clean).map_err(|error| Failure::run(format!("cannot watch for signals: {error}")))
}

fn install(clean: impl Fn() + Send + 'static) -> std::io::Result<()> {
    // Set by the first signal, in its handler; read by the handler of the second.
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal must not see the mark that it sets itself.
        flag::register_conditional_shutdown(signal, code(signal), Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                stop(signal, &clean);
            }
        })?;
    Ok(())
}

fn stop(signal: i32, clean: &dyn Fn()) -> ! {
    let mut last = output::critical();
    last.remove_unfinished();
    progress::clear();
    let _ = catch_unwind(AssertUnwindSafe(clean));
    exit::report(if signal == SIGINT {
        "interrupted"
    } else {
        "terminated"
    });
    std::process::exit(code(signal))
}

/// What a shell reports for a program that a signal ended.
fn code(signal: i32) -> i32 {
    128 + signal
}
