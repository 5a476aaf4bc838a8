//! A worker shares its master's fate.
//!
//! When the master ends, however it ends, the worker removes what the master has left and ends, with all
//! that it has started. When the master is stopped, as by Ctrl-Z, a worker that is running a task stops too:
//! by SIGTSTP, so that the master's watch tells it from workers that somebody else has stopped, and lets it
//! go on.
//!
//! A thread does both. It waits for the master's death by its pidfd: to be killed by `PR_SET_PDEATHSIG` would
//! follow the thread that started the worker, not the process, and leave no time to clean up, and a broken
//! socket is noticed only between tasks. But that signal can be SIGCONT, which wakes a stopped worker when its
//! master dies. The kernel's own rule for orphans does so too, but not where a worker is only about to stop.
//!
//! The kernel tells nobody but its parent that a process is stopped, so that is looked for while a task runs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use farm_core::Owner;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::process::{
    Pid, PidfdFlags, Signal, getppid, kill_current_process_group, pidfd_open,
    set_parent_process_death_signal,
};

/// How often a worker that is running a task looks at its master.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

static BUSY: AtomicBool = AtomicBool::new(false);
/// A task has begun since the thread last looked. It orders nothing, hence `Relaxed`.
static HAS_WORKED: AtomicBool = AtomicBool::new(false);
/// The thread sleeps until it is rung. Before that it has looked at `BUSY`, after it had set this; a task
/// looks at this after it has set `BUSY`. So one of the two sees the other, given sequential consistency.
static DOZING: AtomicBool = AtomicBool::new(false);
static BELL: OnceLock<OwnedFd> = OnceLock::new();

/// A task begins.
pub(crate) fn task_begins() {
    HAS_WORKED.store(true, Ordering::Relaxed);
    BUSY.store(true, Ordering::SeqCst);
    if DOZING.load(Ordering::SeqCst)
        && let Some(bell) = BELL.get()
    {
        let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
    }
}

/// The task has ended.
pub(crate) fn task_ends() {
    BUSY.store(false, Ordering::Release);
}

/// Ties this process to `master`.
pub(crate) fn tie_to(master: Owner) -> std::io::Result<()> {
    let pid = i32::try_from(master.pid()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("the master has no process id"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    set_parent_process_death_signal(Some(Signal::CONT))?;
    // The id names the master and no later process, since the master is still the parent.
    if getppid() != Some(pid) {
        end(master);
    }
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let bell = BELL.get_or_init(|| bell);
    std::thread::Builder::new().name("farm-lifeline".to_owned()).stack_size(64 * 1024).spawn(
        move || {
            let mut was_stopped = false;
            loop {
                // Not between tasks that follow each other: the next would have to ring.
                let dozes = !HAS_WORKED.swap(false, Ordering::Relaxed) && {
                    DOZING.store(true, Ordering::SeqCst);
                    !BUSY.load(Ordering::SeqCst)
                };
                let mut fds =
                    [PollFd::new(&pidfd, PollFlags::IN), PollFd::new(bell, PollFlags::IN)];
                let _ = poll(&mut fds, (!dozes).then_some(&LOOK));
                DOZING.store(false, Ordering::SeqCst);
                let _ = rustix::io::read(bell, &mut [0; 8]);
                if has_ended(&pidfd) {
                    end(master);
                }
                // Twice in a row: a debugger's glance at the master is no reason.
                let is_stopped = BUSY.load(Ordering::SeqCst) && is_stopped(master.pid());
                if is_stopped && was_stopped {
                    let _ = kill_current_process_group(Signal::TSTP);
                }
                was_stopped = is_stopped && !was_stopped;
            }
        },
    )?;
    Ok(())
}

fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
}

/// Whether a process is stopped by a signal; being held by a debugger does not count. Source:
/// proc_pid_stat(5), field 3.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('T'))
}

/// The worker leads a process group of its own, so this takes its children with it.
fn end(master: Owner) -> ! {
    master.remove_what_is_left();
    let _ = kill_current_process_group(Signal::KILL);
    std::process::abort()
}
