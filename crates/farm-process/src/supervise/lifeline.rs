//! A worker shares its master's fate.
//!
//! When the master ends, however it ends, the worker removes what the master has left and ends, with all
//! that it has started. When the master is stopped, as by Ctrl-Z, a worker that is running a task stops too:
//! by SIGTSTP, so that the master's watch tells it from workers that somebody else has stopped, and lets it
//! go on.
//!
//! A thread does both. It is woken by the master's pidfd: to be killed by `PR_SET_PDEATHSIG` would
//! follow the thread that started the worker, not the process, and leave no time to clean up, and a broken
//! socket is noticed only between tasks. But that signal can be SIGCONT, which wakes a stopped worker when its
//! master dies. The kernel's own rule for orphans does so too, but not where a worker is only about to stop.
//!
//! What the pidfd says is no proof, since a task may have closed it, or opened something else under its number. The
//! master is dead when it is not the parent any more. A worker that has lost its pidfd leaves, as soon as no task
//! runs that would be lost with it.
//!
//! A master that has become another program (exec) keeps its process id. The break of the pipe that it reads is the sign, or
//! the next look at it while a task runs; the proof is in [`super::image`]. It is looked for again and again once the pipe is
//! broken, since the proof can come later than the sign.
//!
//! The kernel tells nobody but its parent that a process is stopped, so that is looked for while a task runs.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use farm_os::Owner;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, fstat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{
    Pid, PidfdFlags, Signal, getppid, kill_current_process_group, pidfd_open,
    set_parent_process_death_signal,
};

use super::image::MastersImage;
use super::poll_waker::PollWaker;
use crate::os::descriptor::Own;

/// How often a worker that is running a task looks at its master.
const LOOK: Duration = Duration::from_millis(250);

static BUSY: AtomicBool = AtomicBool::new(false);
/// A task has begun since the thread last looked. It orders nothing, hence `Relaxed`.
static HAS_WORKED: AtomicBool = AtomicBool::new(false);
/// What the thread does. It sets this, and then looks at `BUSY`; a task looks at this after it has set `BUSY`. So one of
/// the two sees the other, given sequential consistency.
static STATE: AtomicU8 = AtomicU8::new(LOOKS);
/// It looks at the master every now and then.
const LOOKS: u8 = 0;
/// It sleeps until it is rung.
const DOZES: u8 = 1;
/// It ends the process when no task runs.
const LEAVES: u8 = 2;
static WAKE: OnceLock<PollWaker> = OnceLock::new();

/// A task begins, which has not been taken up yet.
pub(crate) fn task_begins() {
    HAS_WORKED.store(true, Ordering::Relaxed);
    BUSY.store(true, Ordering::SeqCst);
    match STATE.load(Ordering::SeqCst) {
        LOOKS => {}
        LEAVES => leave(),
        _ => {
            if let Some(wake) = WAKE.get() {
                wake.wake();
            }
        }
    }
}

/// The task has ended, and is answered.
pub(crate) fn task_ends() {
    BUSY.store(false, Ordering::Release);
}

/// Ties this process to `master`.
pub(crate) fn tie_to(master: Owner, image: Option<MastersImage>) -> std::io::Result<()> {
    let pid = i32::try_from(master.pid()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("the master has no process id"))?;
    let mut pidfd = Some(open(pid)?);
    let mut output = image.as_ref().and_then(|_| output());
    set_parent_process_death_signal(Some(Signal::CONT))?;
    // The id names the master and no later process, since the master is still the parent.
    if getppid() != Some(pid) {
        end(master);
    }
    let wake = PollWaker::new()?;
    let wake = WAKE.get_or_init(|| wake);
    std::thread::Builder::new().name("farm-lifeline".to_owned()).stack_size(64 * 1024).spawn(
        move || {
            let mut was_stopped = false;
            loop {
                // The kernel breaks the pipe of a program that becomes another before it lets go of its memory, at times.
                let may_doze = image.is_none() || output.is_some();
                let (is_lost, is_unheard) = sleep(pidfd.as_ref(), output.as_ref(), wake, may_doze);
                if getppid() != Some(pid) {
                    end(master);
                }
                if image.as_ref().is_some_and(MastersImage::is_gone) {
                    replaced(master);
                }
                if is_unheard {
                    output = None;
                }
                if is_lost {
                    STATE.store(LEAVES, Ordering::SeqCst);
                    pidfd = open(pid).ok();
                }
                let is_busy = BUSY.load(Ordering::SeqCst);
                if !is_busy && STATE.load(Ordering::Relaxed) == LEAVES {
                    leave();
                }
                // Twice in a row: a debugger's glance at the master is no reason.
                let is_stopped = is_busy && is_stopped(master.pid());
                if is_stopped && was_stopped {
                    let _ = kill_current_process_group(Signal::TSTP);
                }
                was_stopped = is_stopped && !was_stopped;
            }
        },
    )?;
    Ok(())
}

/// Sleeps until there is a reason to look at the master, or for a while, unless it may doze; says whether a descriptor of this thread is lost, and whether nobody
/// reads what this process prints.
fn sleep(
    pidfd: Option<&Own<OwnedFd>>,
    output: Option<&Own<OwnedFd>>,
    wake: &PollWaker,
    may_doze: bool,
) -> (bool, bool) {
    let ends = wake.ends();
    let (pidfd, receiver) = (pidfd.and_then(Own::get), ends.receiver());
    let (Some(pidfd), Some(receiver)) = (pidfd, receiver) else {
        std::thread::sleep(LOOK);
        return (true, false);
    };
    // Not between tasks that follow each other: the next would have to ring.
    let is_idle = !HAS_WORKED.swap(false, Ordering::Relaxed);
    let dozes = is_idle
        && may_doze
        && STATE.compare_exchange(LOOKS, DOZES, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        && !BUSY.load(Ordering::SeqCst);
    let mut fds = vec![PollFd::new(pidfd, PollFlags::IN), receiver];
    fds.extend(output.and_then(Own::get).map(|output| PollFd::new(output, PollFlags::empty())));
    let look = Timespec { tv_sec: LOOK.as_secs() as i64, tv_nsec: i64::from(LOOK.subsec_nanos()) };
    let _ = poll(&mut fds, (!dozes).then_some(&look));
    let _ = STATE.compare_exchange(DOZES, LOOKS, Ordering::SeqCst, Ordering::SeqCst);
    ends.drain();
    // A pidfd says nothing as long as its process lives.
    let is_ready = |n: usize| fds.get(n).is_some_and(|fd| !fd.revents().is_empty());
    (is_ready(0), is_ready(2))
}

/// What this process prints to, if it is the pipe of its master: it is broken when the master is dead, or another program.
fn output() -> Option<Own<OwnedFd>> {
    let pipe = fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).ok()?;
    let is_pipe = fstat(&pipe).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_fifo());
    Own::new(pipe).ok().filter(|_| is_pipe)
}

fn open(pid: Pid) -> std::io::Result<Own<OwnedFd>> {
    Own::new(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Ends a worker that has lost its descriptors. Whatever they lead to now is nothing of the farm's.
pub(crate) fn leave() -> ! {
    eprintln!(
        "farm: a task has closed descriptors of the farm, or put others in their place; its worker ends, and is \
         replaced"
    );
    // SAFETY: it ends the process, and that is all.
    unsafe { libc::_exit(1) }
}

/// Whether a process is stopped by a signal; being held by a debugger does not count. Source:
/// proc_pid_stat(5), field 3.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('T'))
}

/// The master has become another program, which may have arrays of its own by now.
fn replaced(master: Owner) -> ! {
    master.remove_what_no_lock_holds();
    let _ = kill_current_process_group(Signal::KILL);
    std::process::abort()
}

/// The worker leads a process group of its own, so this takes its children with it.
fn end(master: Owner) -> ! {
    master.remove_what_is_left();
    let _ = kill_current_process_group(Signal::KILL);
    std::process::abort()
}
