//! Ctrl-C and SIGTERM: the program cleans up, prints one line, and exits with 130 or 143.
//!
//! A signal handler may do almost nothing, so one thread waits for signals and another does the
//! work: it takes the output mutex for good (from then on no other thread creates or renames a
//! file, or ends the program), removes unfinished files, removes the bar from the terminal, cleans
//! up, prints the line and exits. On a second signal the first thread ends the program at once,
//! even if the other thread still waits. Signals shortly after the first one are treated as the
//! same one: `timeout` and batch systems send a signal to the program and to its group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::{self, Failure};
use crate::{output, progress};

/// The time after the first signal in which further signals are ignored.
const ONE_SIGNAL: Duration = Duration::from_millis(300);

/// Installs handlers that run `clean` and end the program on SIGINT or SIGTERM; to be called once,
/// early in `main`.
///
/// `clean` runs on a thread of its own while the others continue, and must not write output files.
/// A panic in it does not change the exit code.
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
                    // The other thread lives as long as this one, so that the send succeeds.
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

/// The exit code that a shell reports for a program that a signal ended.
fn code(signal: i32) -> i32 {
    128 + signal
}
