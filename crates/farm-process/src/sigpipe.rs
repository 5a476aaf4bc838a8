//! Keeps SIGPIPE from ending the program.
//!
//! ipc-channel writes to its sockets without `MSG_NOSIGNAL`, so a write to a dead worker raises SIGPIPE.
//! Rust programs ignore that signal unless they choose otherwise, as command-line tools do. A library
//! does not change that choice: the signal is blocked for the one call, and taken back if it came.

use std::mem::MaybeUninit;

/// Calls `write` with SIGPIPE contained.
pub(crate) fn contained<T>(write: impl FnOnce() -> T) -> T {
    let mut pipe = MaybeUninit::<libc::sigset_t>::uninit();
    let mut former = MaybeUninit::<libc::sigset_t>::uninit();
    let mut pending = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: each set is written by the call that is handed it before any call reads it, and the calls
    // change the mask of this thread only.
    let was_pending = unsafe {
        libc::sigemptyset(pipe.as_mut_ptr());
        libc::sigaddset(pipe.as_mut_ptr(), libc::SIGPIPE);
        libc::sigemptyset(pending.as_mut_ptr());
        libc::sigpending(pending.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, pipe.as_ptr(), former.as_mut_ptr());
        libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1
    };
    let result = write();
    let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: both sets were written above. A SIGPIPE that was pending before is not ours to take.
    unsafe {
        if !was_pending {
            libc::sigtimedwait(pipe.as_ptr(), std::ptr::null_mut(), &no_time);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, former.as_ptr(), std::ptr::null_mut());
    }
    result
}

/// Ignores SIGPIPE in a worker, as a Rust program does; before `main` nobody has done so yet.
pub(crate) fn ignore() {
    // SAFETY: the process is a worker of one thread that has not run any code of the user's yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}
