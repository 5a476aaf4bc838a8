//! The watch: a thread that notices when workers die, and kills those that must end.
//!
//! It sleeps on the pidfds of all workers. So it notices a death at once, whichever processes have
//! inherited the worker's sockets. But the program may close the pidfds, or open other files under
//! their numbers. So they only wake the thread. Whether a worker is dead is decided by its process
//! id, and so is which process to kill; the id belongs to no other process until the worker is
//! reaped. While there is work, the thread wakes for each beat of the clock. Then it lets the
//! master check its time limits, kills workers that have not come up or ended in time, and looks
//! for workers that are stopped.
//!
//! A worker that has stopped itself because its master was stopped (see [`super::lifeline`]) is
//! recognised by the signal, SIGTSTP, and continues as soon as the master does. A worker that was
//! stopped by any other signal may be continued by whatever stopped it. After a while it counts as
//! lost.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

use farm_core::{Loss, WorkerId};
use farm_os::Owner;
use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open,
    waitid,
};

use super::alarm::{Alarm, earlier};
use super::clock::{BEAT, Clock};
use super::out_of_memory::OutOfMemory;
use super::output::Outputs;
use crate::os::descriptor::Own;
use crate::os::memory;

/// The workers that live, and how they are watched. Any thread may call the methods, apart from
/// `run`, which is the body of the watch's own thread.
pub(crate) struct Watch {
    living: Mutex<Living>,
    none_left: Condvar,
    pub(crate) clock: Clock,
    alarm: Alarm,
    pub(crate) outputs: Outputs,
    out_of_memory: OutOfMemory,
    limits: Limits,
    /// Dead workers that cannot be reaped yet, because a debugger holds them.
    unreaped: Mutex<Vec<Pid>>,
}

/// The settings of the pool that concern the watch.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// How long a worker may stay stopped before it counts as lost.
    pub(crate) stopped_after: Duration,
    pub(crate) memory: Option<u64>,
}

#[derive(Default)]
struct Living {
    workers: BTreeMap<WorkerId, Watched>,
    /// The pool ends at once: any worker that is added is killed.
    killing: bool,
    /// No more workers will be added.
    closed: bool,
}

struct Watched {
    pid: Pid,
    /// Shared with the thread while it sleeps, so that sleeping needs no copy of the descriptor.
    pidfd: Arc<Own<OwnedFd>>,
    /// When the worker must have come up, or have ended.
    deadline: Option<Duration>,
    is_late: bool,
    stopped_since: Option<Duration>,
    /// How long the worker had been stopped when it was killed for that.
    stopped: Option<Duration>,
    killed: bool,
    /// The peak of memory that the worker has inherited from the master, in bytes.
    inherited: u64,
    /// The owner of the shared arrays that tasks of this worker make.
    owner: Option<Owner>,
}

/// How a worker has ended.
pub(crate) struct End {
    pub(crate) loss: Loss,
    /// The worker was killed because it had not come up or ended in time.
    pub(crate) late: bool,
}

/// The answer of the pool to a beat.
pub(crate) struct Wanted {
    /// When the next beat is due, at the latest.
    pub(crate) at: Option<Duration>,
    /// Whether there is work, so that workers must be checked at each beat.
    pub(crate) busy: bool,
}

impl Watch {
    pub(crate) fn new(limits: Limits) -> io::Result<Self> {
        Ok(Self {
            living: Mutex::default(),
            none_left: Condvar::new(),
            clock: Clock::new(),
            alarm: Alarm::new()?,
            outputs: Outputs::new()?,
            out_of_memory: OutOfMemory::new(),
            limits,
            unreaped: Mutex::default(),
        })
    }

    /// Makes sure that the thread wakes and looks around at `at`.
    pub(crate) fn wake_by(&self, at: Duration) {
        self.alarm.wake_by(at);
    }

    /// Watches a process that has just been started, and must come up by `deadline`. If the pool is
    /// ending, or the deadline has passed, the process is killed at once.
    pub(crate) fn add(
        &self,
        worker: WorkerId,
        mut child: Child,
        deadline: Option<Duration>,
    ) -> io::Result<()> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let opened =
            pid.ok_or(Errno::SRCH).map_err(io::Error::from).and_then(|pid| Ok((pid, open(pid)?)));
        let (pid, pidfd) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let ended = child.kill().and_then(|()| child.wait());
                drop(self.outputs.last_output(worker));
                return Err(ended.err().unwrap_or(error));
            }
        };
        let mut watched = Watched {
            pid,
            pidfd: Arc::new(pidfd),
            deadline,
            is_late: false,
            stopped_since: None,
            stopped: None,
            killed: false,
            inherited: memory::peak_of_this_process(),
            owner: Owner::of(pid.as_raw_nonzero().get().cast_unsigned()),
        };
        let mut living = self.living.lock();
        watched.is_late = deadline.is_some_and(|at| at <= self.clock.now());
        if living.killing || watched.is_late {
            watched.kill();
        }
        living.workers.insert(worker, watched);
        drop(living);
        self.alarm.wake_now();
        Ok(())
    }

    /// Notes that a worker is up.
    pub(crate) fn came_up(&self, worker: WorkerId) {
        if let Some(watched) = self.living.lock().workers.get_mut(&worker) {
            watched.deadline = None;
        }
    }

    /// Notes that a worker is about to end by itself, and has until `deadline` to do so.
    pub(crate) fn should_end(&self, worker: WorkerId, deadline: Duration) {
        if let Some(watched) = self.living.lock().workers.get_mut(&worker) {
            watched.deadline = Some(deadline);
        }
        self.wake_by(deadline);
    }

    /// Kills a worker; its death is reported like any other death.
    pub(crate) fn kill(&self, worker: WorkerId) {
        if let Some(watched) = self.living.lock().workers.get_mut(&worker) {
            watched.kill();
        }
    }

    /// Kills all workers, and any that are added later.
    pub(crate) fn kill_all(&self) {
        let mut living = self.living.lock();
        living.killing = true;
        living.workers.values_mut().for_each(Watched::kill);
    }

    /// Kills the workers that are watched now.
    pub(crate) fn kill_present(&self) {
        self.living.lock().workers.values_mut().for_each(Watched::kill);
    }

    /// Waits until no worker lives, or until `deadline`; returns whether no worker lives.
    pub(crate) fn wait_until_none_left(&self, deadline: Option<Instant>) -> bool {
        let mut living = self.living.lock();
        while !living.workers.is_empty() {
            match deadline {
                None => self.none_left.wait(&mut living),
                Some(deadline) => {
                    if self.none_left.wait_until(&mut living, deadline).timed_out() {
                        break;
                    }
                }
            }
        }
        living.workers.is_empty()
    }

    /// Lets the thread end once no worker lives any more.
    pub(crate) fn close(&self) {
        self.living.lock().closed = true;
        self.alarm.wake_now();
    }

    /// The body of the thread. It calls `beat` with the time whenever it wakes, and `report` for
    /// each death, after the dead worker was reaped as far as that was possible.
    pub(crate) fn run(&self, beat: impl Fn(Duration) -> Wanted, report: impl Fn(WorkerId, End)) {
        loop {
            self.alarm.mark_awake();
            let now = self.clock.now();
            let wanted = beat(now);
            let next = {
                let mut living = self.living.lock();
                if living.closed && living.workers.is_empty() {
                    return;
                }
                self.check_workers(&mut living, now, wanted.busy)
            };
            self.sleep(now, earlier(wanted.at, next));
            self.unreaped.lock().retain(|pid| matches!(reap(*pid), Reaped::Later));
            for (worker, watched) in self.take_dead() {
                let end = self.reap_worker(worker, &watched);
                report(worker, end);
            }
            self.none_left.notify_all();
        }
    }

    /// Kills workers that are late or have been stopped for too long; returns when to look again.
    fn check_workers(&self, living: &mut Living, now: Duration, busy: bool) -> Option<Duration> {
        let mut next = busy.then(|| now + BEAT.min(self.limits.stopped_after / 4));
        if living.workers.values().any(|watched| watched.killed) {
            // The end of a killed worker is noticed even if its pidfd is lost.
            next = Some(now + BEAT);
        }
        for watched in living.workers.values_mut().filter(|watched| !watched.killed) {
            if busy || watched.deadline.is_some() {
                watched.look_whether_stopped(now);
            }
            let patience_ends = watched
                .stopped_since
                .and_then(|since| since.checked_add(self.limits.stopped_after));
            if patience_ends.is_some_and(|at| at <= now) {
                watched.stopped = watched.stopped_since.map(|since| now - since);
                watched.kill();
            } else if watched.deadline.is_some_and(|at| at <= now) {
                watched.is_late = true;
                watched.kill();
            } else {
                next = earlier(next, earlier(patience_ends, watched.deadline));
            }
        }
        next
    }

    /// Sleeps until a worker dies, the alarm wakes this thread, or the time has come.
    fn sleep(&self, now: Duration, until: Option<Duration>) {
        let fds: Vec<Arc<Own<OwnedFd>>> =
            self.living.lock().workers.values().map(|w| w.pidfd.clone()).collect();
        let fds = fds.iter().filter_map(|fd| fd.get());
        let mut polled: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let ends = self.alarm.ends();
        let receiver = ends.receiver();
        let until = if receiver.is_some() { until } else { earlier(until, Some(now + BEAT)) };
        polled.extend(receiver);
        let timeout = self.alarm.mark_asleep(until).map(|at| {
            // The clock would take a longer sleep for a stop of the master.
            let left = at.saturating_sub(now).min(BEAT);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        // Interruptions and errors end the sleep early, which does no harm.
        let _ = poll(&mut polled, timeout.as_ref());
    }

    fn take_dead(&self) -> Vec<(WorkerId, Watched)> {
        let mut living = self.living.lock();
        let watched = living.workers.iter_mut();
        let dead: Vec<_> = watched
            .filter_map(|(&worker, watched)| watched.confirm_death().then_some(worker))
            .collect();
        dead.into_iter().filter_map(|worker| living.workers.remove_entry(&worker)).collect()
    }

    /// Reaps a dead worker, and collects what is known of its end.
    fn reap_worker(&self, worker: WorkerId, watched: &Watched) -> End {
        // Until the dead leader of the group is reaped, the id of the group is not used again. Only
        // this thread reaps the leader, unless the program reaps children that it has not started.
        let _ = kill_process_group(watched.pid, Signal::KILL);
        let mut loss = Loss::new(worker, watched.pid.as_raw_nonzero().get().cast_unsigned());
        match reap(watched.pid) {
            Reaped::Now(status, peak) => {
                loss.signal = status.signal();
                loss.code = status.code();
                loss.peak_memory = (peak > watched.inherited).then_some(peak);
            }
            Reaped::Later => self.unreaped.lock().push(watched.pid),
            Reaped::ByOthers => loss.reaped_by_others = true,
        }
        if let Some(owner) = watched.owner {
            owner.remove_what_is_left();
        }
        loss.stopped = watched.stopped;
        loss.memory_limit = self.limits.memory;
        loss.out_of_memory = !watched.killed
            && loss.signal == Some(Signal::KILL.as_raw())
            && self.out_of_memory.has_struck();
        loss.last_output = self.outputs.last_output(worker);
        End { loss, late: watched.is_late }
    }
}

impl Watched {
    fn kill(&mut self) {
        self.killed = true;
        // If the process is not a child any more, somebody else has reaped it, and the number may
        // belong to another process.
        if self.state() == State::Lives {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }

    /// Whether the process has ended, as the system tells its parent. The process stays to be
    /// reaped.
    fn state(&self) -> State {
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(self.pid), ended) {
            Ok(Some(_)) | Err(Errno::CHILD) => State::Ended,
            Ok(None) | Err(_) => State::Lives,
        }
    }

    /// Whether it is proven that the worker is dead.
    fn confirm_death(&mut self) -> bool {
        if self.state() == State::Ended {
            return true;
        }
        let pidfd = self.pidfd.get();
        if pidfd.is_some_and(|pidfd| has_become(pidfd).is_empty()) {
            return false;
        }
        // The pidfd is ready, but the parent is not told of an end: either a debugger holds the
        // process and is told of its end first, or the number does not lead to the pidfd any more.
        let Ok(pidfd) = open(self.pid) else { return false };
        let is_dead = pidfd.get().is_some_and(|pidfd| has_become(pidfd) == PollFlags::IN);
        self.pidfd = Arc::new(pidfd);
        is_dead
    }

    /// Notes whether the worker is stopped, and continues a worker that has stopped itself. The
    /// kernel tells each change once, and only the last of several.
    fn look_whether_stopped(&mut self, now: Duration) {
        let changes = WaitIdOptions::STOPPED | WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG;
        while let Ok(Some(status)) = waitid(WaitId::Pid(self.pid), changes) {
            if status.continued() {
                self.stopped_since = None;
            } else if status.stopping_signal() == Some(Signal::TSTP.as_raw()) {
                let _ = kill_process_group(self.pid, Signal::CONT);
            } else if status.stopped() {
                self.stopped_since.get_or_insert(now);
            }
        }
    }
}

/// Whether a process lives, as its parent sees it.
#[derive(PartialEq, Eq)]
enum State {
    Lives,
    Ended,
}

/// Opens the pidfd of a process that has not been reaped.
fn open(pid: Pid) -> io::Result<Own<OwnedFd>> {
    Own::new(pidfd_open(pid, PidfdFlags::empty())?)
}

/// The result of poll(2) for a pidfd, which is `IN` alone once the process has ended, and empty
/// before.
fn has_become(pidfd: &OwnedFd) -> PollFlags {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let _ = poll(&mut fds, Some(&Timespec::default()));
    fds[0].revents()
}

enum Reaped {
    /// The exit status of the process, and the peak of its memory in bytes.
    Now(ExitStatus, u64),
    /// The process cannot be reaped while a debugger holds it.
    Later,
    /// The program reaps all children, or has the system do so.
    ByOthers,
}

/// Reaps a dead child, if that is possible without waiting.
fn reap(pid: Pid) -> Reaped {
    let mut status = 0;
    // SAFETY: a `rusage` consists of plain numbers, for which zeros are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers lead to values that outlive the call.
    let reaped =
        unsafe { libc::wait4(pid.as_raw_nonzero().get(), &mut status, libc::WNOHANG, &mut usage) };
    match reaped {
        0 => Reaped::Later,
        -1 => Reaped::ByOthers,
        _ => {
            let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0) << 10;
            Reaped::Now(ExitStatus::from_raw(status), peak)
        }
    }
}
