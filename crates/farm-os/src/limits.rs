//! What the system demands of whoever opens descriptors and makes memory.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Resource, getrlimit};
use rustix::stdio::{stderr, stdin, stdout};

/// Sees to it that what is opened next gets none of the descriptors 0 to 2, to which libraries print whatever they are: a
/// closed one is put on /dev/null.
///
/// It is called before the farm opens anything that bytes could be written to by mistake, not only once: a program may
/// close them at any time.
pub fn keep_standard_descriptors() {
    for _ in 0..3 {
        if [stdin(), stdout(), stderr()].into_iter().all(|fd| fcntl_getfd(fd).is_ok()) {
            return;
        }
        // The lowest that is free.
        let Some(nothing) = nothing() else { return };
        if nothing.as_raw_fd() > 2 {
            return;
        }
        let _ = nothing.into_raw_fd();
    }
}

/// What takes all that is written to it, or refuses it, and never has anything to be read.
fn nothing() -> Option<OwnedFd> {
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        // As a program's own: what it starts finds it there too.
        let _ = fcntl_setfd(&null, FdFlags::empty());
        return Some(null.into());
    }
    // Without /dev: a descriptor that can be neither read nor written.
    openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Says which limit is in the way of a thread or a process that the system has refused to start.
pub fn name_limit_of_threads(refused: std::io::Error) -> std::io::Error {
    match Errno::from_io_error(&refused) {
        Some(Errno::AGAIN) => std::io::Error::other(
            "the limit on processes and threads is reached (`ulimit -u`, or pids.max of the control group)",
        ),
        _ => refused,
    }
}

/// How many bytes a file of this process may have (`ulimit -f`). Memory that processes share counts as a file, and who
/// makes a longer one is killed by SIGXFSZ.
pub fn longest_file() -> u64 {
    getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
}

/// Says that a file of so many bytes would be too long, if it would.
///
/// # Errors
///
/// One line with the limit.
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
