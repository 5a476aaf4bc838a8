//! The watch: a thread that sees workers die.
//!
//! It sleeps on the pidfds of all workers, so a death is noticed at once and whatever else the worker's
//! sockets may be inherited by. A worker that has not come up in time is killed here too.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::time::Instant;

use farm_core::{Loss, WorkerId};
use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

/// The living workers.
pub(crate) struct Watch {
    living: Mutex<Living>,
    none_left: Condvar,
    /// Wakes the thread when `living` has changed.
    bell: OwnedFd,
}

#[derive(Default)]
struct Living {
    workers: BTreeMap<WorkerId, Watched>,
    /// Whoever is added is killed.
    killing: bool,
    /// No more will be added.
    closed: bool,
}

struct Watched {
    child: Child,
    /// Shared with the thread while it sleeps, so that no descriptor is needed to sleep.
    pidfd: Arc<OwnedFd>,
    /// When it must have come up; `None` once it has.
    deadline: Option<Instant>,
}

impl Watch {
    pub(crate) fn new() -> std::io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { living: Mutex::default(), none_left: Condvar::new(), bell })
    }

    /// Starts to watch a process that has just been started. If the pool is closed, it is killed at once.
    pub(crate) fn add(
        &self,
        worker: WorkerId,
        mut child: Child,
        deadline: Option<Instant>,
    ) -> std::io::Result<()> {
        let opened = pid_of(&child)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let pidfd = match opened {
            Ok(pidfd) => pidfd,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error.into());
            }
        };
        let watched = Watched { child, pidfd: Arc::new(pidfd), deadline };
        let mut living = self.living.lock();
        if living.killing || watched.expired().is_some() {
            watched.kill();
        }
        living.workers.insert(worker, watched);
        drop(living);
        self.ring();
        Ok(())
    }

    /// The worker is up.
    pub(crate) fn came_up(&self, worker: WorkerId) {
        if let Some(watched) = self.living.lock().workers.get_mut(&worker) {
            watched.deadline = None;
        }
    }

    /// Kills a worker; its death is reported like any other.
    pub(crate) fn kill(&self, worker: WorkerId) {
        if let Some(watched) = self.living.lock().workers.get(&worker) {
            watched.kill();
        }
    }

    /// Kills all workers, and any that is added later.
    pub(crate) fn kill_all(&self) {
        let mut living = self.living.lock();
        living.killing = true;
        living.workers.values().for_each(Watched::kill);
    }

    /// Kills the workers that live now.
    pub(crate) fn kill_present(&self) {
        self.living.lock().workers.values().for_each(Watched::kill);
    }

    /// Waits until no worker lives, or until `deadline`; says whether none does.
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

    /// Ends the thread when no worker lives any more.
    pub(crate) fn close(&self) {
        self.living.lock().closed = true;
        self.ring();
    }

    /// The body of the thread. `report` is called for each death, and told whether the worker was late in
    /// coming up; it is reaped by then.
    pub(crate) fn run(&self, report: impl Fn(Loss, bool)) {
        loop {
            let dead = {
                let living = self.living.lock();
                if living.closed && living.workers.is_empty() {
                    return;
                }
                living.workers.values().filter_map(Watched::expired).for_each(Watched::kill);
                drop(living);
                self.sleep();
                self.take_dead()
            };
            for (worker, watched, status) in dead {
                let loss = Loss {
                    worker,
                    pid: watched.child.id(),
                    signal: status.and_then(|status| status.signal()),
                    code: status.and_then(|status| status.code()),
                };
                report(loss, watched.expired().is_some());
            }
            self.none_left.notify_all();
        }
    }

    /// Sleeps until a worker dies, the bell rings or a worker is late.
    fn sleep(&self) {
        let fds: Vec<Arc<OwnedFd>>;
        let next;
        {
            let living = self.living.lock();
            fds = living.workers.values().map(|w| w.pidfd.clone()).collect();
            next = living.workers.values().filter_map(|w| w.deadline).min();
        }
        let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(&**fd, PollFlags::IN)).collect();
        polled.push(PollFd::new(&self.bell, PollFlags::IN));
        let timeout = next.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        // Interruptions and errors end the sleep early, which does no harm.
        let _ = poll(&mut polled, timeout.as_ref());
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }

    fn take_dead(&self) -> Vec<(WorkerId, Watched, Option<ExitStatus>)> {
        let mut living = self.living.lock();
        let ended: Vec<WorkerId> =
            living.workers.iter().filter(|(_, w)| w.has_ended()).map(|(id, _)| *id).collect();
        ended
            .into_iter()
            .filter_map(|id| {
                let mut watched = living.workers.remove(&id)?;
                // The dead leader keeps its group's id from being used again until it is reaped, which
                // this thread alone does, unless the program reaps children that it has not started.
                if let Some(pid) = pid_of(&watched.child) {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
                let status = watched.child.wait().ok();
                Some((id, watched, status))
            })
            .collect()
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Watched {
    fn kill(&self) {
        let _ = pidfd_send_signal(&*self.pidfd, Signal::KILL);
    }

    fn expired(&self) -> Option<&Self> {
        self.deadline.is_some_and(|at| at <= Instant::now()).then_some(self)
    }

    fn has_ended(&self) -> bool {
        let mut fds = [PollFd::new(&*self.pidfd, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
    }
}

fn pid_of(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}
