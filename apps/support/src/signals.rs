//! Ctrl-C and SIGTERM: clean up, one line, exit with 130 or 143.
//!
//! A handler may do next to nothing, so one thread waits for signals and another does the work: it
//! takes the output mutex for good (no other thread makes or renames a file from here on, nor ends
//! the program), removes unfinished files, takes the bar off the terminal, cleans up, says so and
//! exits. A second signal means that the user has no patience left: the first thread ends the
//! program, whatever the other is waiting for. Signals that come at once after the first are the
//! same one: `timeout` and batch systems send it to the program and to its group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::{self, Failure};
use crate::{output, progress};

/// Signals within this time of the first are the first.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// Runs `clean` and ends the program when it is told to stop; call it once, early in `main`.
///
/// `clean` runs on a thread of its own while the others go on, and must not write output files. A
/// panic in it does not change the exit code.
///
/// # Errors
/// [`Failure::Run`] if the system refuses the handlers or the threads.
pub fn on_stop(clean: impl Fn() + Send + 'static) -> Result<(), Failure> {
    install(clean).map_err(|error| Failure::run(format!("cannot watch for signals: {error}")))
}

fn install(clean: impl Fn() + Send + 'static) -> std::io::Result<()> {
    let (first, stopping) = mpsc::channel();
    thread::Builder::new().name("stop".into()).spawn(move || {
        if let Ok(signal) = stopping.recv() {
            stop(signal, &clean);
        }
    })?;
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut since: Option<Instant> = None;
        for signal in signals.forever() {
            match since {
                None => {
                    since = Some(Instant::now());
                    // The other thread lives as long as this one.
                    let _ = first.send(signal);
                }
                Some(since) if since.elapsed() < ONE_SIGNAL => {}
                Some(_) => low_level::exit(code(signal)),
            }
        }
    })?;
    Ok(())
}

fn stop(signal: i32, clean: &dyn Fn()) -> ! {
    let mut last = output::critical();
    last.remove_unfinished();
    progress::clear();
    let _ = catch_unwind(AssertUnwindSafe(clean));
    exit::report(if signal == SIGINT { "interrupted" } else { "terminated" });
    std::process::exit(code(signal))
}

/// What a shell reports for a program that a signal ended.
fn code(signal: i32) -> i32 {
    128 + signal
}
