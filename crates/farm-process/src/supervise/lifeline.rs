//! Ends a worker together with its master, and stops it together with its master.
//!
//! When the master ends, in whatever way, the worker removes what the master has left in shared
//! memory, and ends with all that it has started. When the master is stopped, as by Ctrl-Z, a
//! worker that is running a task stops too. It does so by SIGTSTP, so that the master's watch can
//! tell it from a worker that somebody else has stopped, and let it go on.
//!
//! A thread of the worker, `farm-lifeline`, does both. The master's pidfd wakes it. There are two
//! other signs of the master's end, and neither suffices. A signal by `PR_SET_PDEATHSIG` that kills
//! the worker would follow the thread that started the worker, not the process, and would leave no
//! time to clean up. A broken socket is noticed only between tasks. But the signal can be SIGCONT,
//! which wakes a stopped worker when its master dies. The kernel's own rule for orphaned process
//! groups wakes a stopped worker too, but not one that is only about to stop.
//!
//! The pidfd is no proof, because a task may have closed it, or opened something else under its
//! number. The master is dead if it is not the parent of this process any more. A worker that has
//! lost its pidfd ends as soon as no task runs that would be lost with it.
//!
//! A master that becomes another program (exec) keeps its process id. The proof of this is in
//! [`super::image`]. The thread looks for it when the pipe breaks to which this process prints and
//! which the master reads, and, while a task runs, at every look at the master. Once the pipe is
//! broken, it looks again and again, because the proof can come later than the break.
//!
//! The kernel tells only the parent of a process that the process is stopped, so a worker has to
//! look whether its master is stopped. It does so while a task runs.

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

/// How often the thread looks at the master while a task runs.
const LOOK: Duration = Duration::from_millis(250);

/// Whether a task runs. The thread that serves the master writes this, and the lifeline reads it.
static BUSY: AtomicBool = AtomicBool::new(false);
/// Whether a task has begun since the thread last looked. It orders nothing, hence `Relaxed`.
static HAS_WORKED: AtomicBool = AtomicBool::new(false);
/// The state of the thread. The thread sets this, and then reads `BUSY`; a task sets `BUSY`, and
/// then reads this. All of these accesses are sequentially consistent, so at least one of the two
/// sees the other's write.
static STATE: AtomicU8 = AtomicU8::new(LOOKS);
/// The thread looks at the master at least every `LOOK`.
const LOOKS: u8 = 0;
/// The thread sleeps until it is woken.
const DOZES: u8 = 1;
/// The thread ends the process when no task runs.
const LEAVES: u8 = 2;
static WAKE: OnceLock<PollWaker> = OnceLock::new();

/// A task is about to begin. This is called before the worker takes the task up, so that ending the
/// process here costs no task.
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

/// The task has ended, and its answer is sent.
pub(crate) fn task_ends() {
    BUSY.store(false, Ordering::Release);
}

/// Starts the thread that ties this process to `master`.
pub(crate) fn tie_to(master: Owner, image: Option<MastersImage>) -> std::io::Result<()> {
    let pid = i32::try_from(master.pid()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("the master has no process id"))?;
    let mut pidfd = Some(open(pid)?);
    let mut output = image.as_ref().and_then(|_| output());
    set_parent_process_death_signal(Some(Signal::CONT))?;
    // The process id means the master and no later process, because the master is still the parent.
    if getppid() != Some(pid) {
        end_after_death(master);
    }
    let wake = PollWaker::new()?;
    let wake = WAKE.get_or_init(|| wake);
    std::thread::Builder::new().name("farm-lifeline".to_owned()).stack_size(64 * 1024).spawn(
        move || {
            let mut was_stopped = false;
            loop {
                // When a program becomes another, the kernel sometimes breaks its pipe before it
                // releases the memory that holds the lock. So once the pipe is broken, or if there
                // is none, the thread does not doze but keeps looking.
                let may_doze = image.is_none() || output.is_some();
                let (is_lost, is_output_broken) =
                    sleep(pidfd.as_ref(), output.as_ref(), wake, may_doze);
                if getppid() != Some(pid) {
                    end_after_death(master);
                }
                if image.as_ref().is_some_and(MastersImage::is_gone) {
                    end_after_exec(master);
                }
                if is_output_broken {
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
                // The master must be stopped at two looks in a row: a debugger may stop it for a
                // moment.
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

/// Sleeps until there is a reason to look at the master. Unless it may doze and no task has begun
/// lately, it sleeps no longer than `LOOK`. Returns whether a descriptor of this thread is lost,
/// and whether nothing reads the output of this process any more.
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
    // The thread does not doze between tasks that follow each other, because the next task would
    // have to wake it.
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
    // A pidfd of a living process is never ready.
    let is_ready = |n: usize| fds.get(n).is_some_and(|fd| !fd.revents().is_empty());
    (is_ready(0), is_ready(2))
}

/// A copy of the stdout of this process, if that is a pipe. The pipe to the master breaks when the
/// master dies or becomes another program.
fn output() -> Option<Own<OwnedFd>> {
    let pipe = fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).ok()?;
    let is_pipe = fstat(&pipe).is_ok_and(|found| FileType::from_raw_mode(found.st_mode).is_fifo());
    Own::new(pipe).ok().filter(|_| is_pipe)
}

fn open(pid: Pid) -> std::io::Result<Own<OwnedFd>> {
    Own::new(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Ends a worker that has lost its descriptors. Other files may lie under their numbers by now, so
/// nothing more is done with them.
pub(crate) fn leave() -> ! {
    eprintln!(
        "farm: a task has closed descriptors of the farm, or put others in their place; its worker ends, and is \
         replaced"
    );
    // SAFETY: the call ends the process, and does nothing else.
    unsafe { libc::_exit(1) }
}

/// Whether a process is stopped by a signal; a process that a debugger holds does not count.
/// Source: proc_pid_stat(5), field 3.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|fields| fields.trim_start().starts_with('T'))
}

/// Ends this process after its master has become another program. That may have shared arrays of
/// its own by now, so only files that no lock holds are removed.
fn end_after_exec(master: Owner) -> ! {
    master.remove_what_no_lock_holds();
    let _ = kill_current_process_group(Signal::KILL);
    std::process::abort()
}

/// Ends this process after its master has died. The worker leads a process group of its own, so the
/// processes that it has started end with it.
fn end_after_death(master: Owner) -> ! {
    master.remove_what_is_left();
    let _ = kill_current_process_group(Signal::KILL);
    std::process::abort()
}
