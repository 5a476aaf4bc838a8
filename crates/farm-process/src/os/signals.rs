//! Keeps the program's signals and the farm's threads out of each other's way.
//!
//! ipc-channel writes to its sockets without `MSG_NOSIGNAL`, so a write to a dead worker raises
//! SIGPIPE; and it does not repeat a call that a signal has interrupted. A library must not change
//! how the program handles its signals. So SIGPIPE is blocked during each such write, and removed
//! if the write has raised it; and the threads of the pool block all signals, so that signals are
//! delivered to threads of the program.

use std::mem::MaybeUninit;

/// Signals that are blocked on this thread. Dropping this restores the former mask.
struct Blocked {
    former: libc::sigset_t,
    /// Whether to remove a pending SIGPIPE, because none was pending before.
    take_pipe: bool,
}

impl Blocked {
    fn pipe() -> Self {
        let mut set = empty_set();
        let mut pending = empty_set();
        // SAFETY: both sets are initialised.
        let was_pending = unsafe {
            libc::sigaddset(&mut set, libc::SIGPIPE);
            libc::sigpending(&mut pending);
            libc::sigismember(&pending, libc::SIGPIPE) == 1
        };
        Self { former: block(&set), take_pipe: !was_pending }
    }

    fn all() -> Self {
        let mut set = empty_set();
        // SAFETY: the set is initialised.
        unsafe { libc::sigfillset(&mut set) };
        Self { former: block(&set), take_pipe: false }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let no_time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let mut pipe = empty_set();
        // SAFETY: all sets are initialised, and the calls concern this thread only.
        unsafe {
            if self.take_pipe {
                libc::sigaddset(&mut pipe, libc::SIGPIPE);
                libc::sigtimedwait(&pipe, std::ptr::null_mut(), &no_time);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.former, std::ptr::null_mut());
        }
    }
}

fn empty_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn block(set: &libc::sigset_t) -> libc::sigset_t {
    let mut former = empty_set();
    // SAFETY: both sets are initialised, and the call concerns this thread only.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, set, &mut former) };
    former
}

/// Calls `write` with SIGPIPE blocked, and removes a SIGPIPE that it has raised.
pub(crate) fn without_sigpipe<T>(write: impl FnOnce() -> T) -> T {
    let _blocked = Blocked::pipe();
    write()
}

/// Calls `spawn`; the thread that it starts has all signals blocked.
pub(crate) fn with_all_signals_blocked<T>(spawn: impl FnOnce() -> T) -> T {
    let _blocked = Blocked::all();
    spawn()
}

/// Gives a worker the signals of a Rust program that has just begun: no signal is blocked, SIGPIPE
/// is ignored, and SIGTSTP, by which the worker stops itself, has its default action.
///
/// A worker has inherited the signal mask of the thread that started it, and before `main` nothing
/// has ignored SIGPIPE yet. SIGHUP gets a handler that does nothing, unless it is ignored: the
/// kernel sends it to stopped workers whose master has died before it wakes them, and they still
/// have to clean up.
pub(crate) fn begin_as_a_program_does() {
    extern "C" fn nothing(_: libc::c_int) {}
    let nothing: extern "C" fn(libc::c_int) = nothing;
    let none = empty_set();
    // SAFETY: the set is initialised. The only handler that is installed does nothing, and this
    // process belongs to the farm.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGTSTP, libc::SIG_DFL);
        if libc::signal(libc::SIGHUP, nothing as libc::sighandler_t) == libc::SIG_IGN {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
    }
}
