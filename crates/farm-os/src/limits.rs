//! Limits of the system on processes and files, and the standard descriptors.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Resource, getrlimit};
use rustix::stdio::{stderr, stdin, stdout};

/// Opens /dev/null for each of the descriptors 0 to 2 that is closed. Then no file that is opened
/// later gets one of these numbers, to which libraries print whatever file has them.
///
/// Farm calls this each time before it opens a file that could be damaged in this way, because a
/// program may close descriptors at any time.
pub fn keep_standard_descriptors() {
    for _ in 0..3 {
        if [stdin(), stdout(), stderr()].into_iter().all(|fd| fcntl_getfd(fd).is_ok()) {
            return;
        }
        // The system gives each new file the lowest number that is free.
        let Some(nothing) = nothing() else { return };
        if nothing.as_raw_fd() > 2 {
            return;
        }
        let _ = nothing.into_raw_fd();
    }
}

/// Opens a file that discards or refuses all that is written to it, and never has anything to be
/// read.
fn nothing() -> Option<OwnedFd> {
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        // The descriptor is inherited by programs that this process starts, like the standard
        // descriptors of a program.
        let _ = fcntl_setfd(&null, FdFlags::empty());
        return Some(null.into());
    }
    // Without /dev: a descriptor that can be neither read nor written.
    openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Returns an error that names the limit that was reached, if the system has refused to start a
/// thread or a process because of a limit; otherwise the same error.
pub fn name_limit_of_threads(refused: std::io::Error) -> std::io::Error {
    match Errno::from_io_error(&refused) {
        Some(Errno::AGAIN) => std::io::Error::other(
            "the limit on processes and threads is reached (`ulimit -u`, or pids.max of the control group)",
        ),
        _ => refused,
    }
}

/// Returns how many bytes a file of this process may have (`ulimit -f`). Shared memory counts as a
/// file, and a process that makes a longer one is killed by SIGXFSZ.
pub fn longest_file() -> u64 {
    getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
}

/// Checks that a file of this process may have `bytes` bytes.
///
/// # Errors
///
/// If it may not: one line that names the limit.
pub fn check_file(bytes: usize) -> std::io::Result<()> {
    let most = longest_file();
    if bytes as u64 <= most {
        return Ok(());
    }
    Err(std::io::Error::other(format!(
        "{bytes} bytes are needed, and the limit on the size of files, which shared memory is under too, is {most} \
         bytes (`ulimit -f` raises it)"
    )))
}
