//! The workers of a pool as its dispatcher knows them, from their start to their end.

use std::collections::{BTreeMap, HashSet};

use farm_core::{Loss, WorkerId};

use crate::transport::Link;
use crate::transport::lane::LaneView;

/// The workers of one pool.
#[derive(Default)]
pub(crate) struct Workers {
    known: BTreeMap<WorkerId, Worker>,
    /// Workers whose start has neither succeeded nor failed yet.
    starting: HashSet<WorkerId>,
    last_start_error: Option<StartError>,
}

/// The state of one worker.
pub(crate) enum Worker {
    /// The process is getting ready.
    Starting { pid: u32, link: Box<dyn Link>, has_reported: bool },
    /// The worker takes tasks. `may_spin` is what its link has been told last.
    Up { pid: u32, link: Box<dyn Link>, eviction: Eviction, may_spin: bool },
    /// The worker is dead; its last answers may still be on the way.
    Dead { loss: Loss, link: Box<dyn Link> },
    /// The worker has died before it was ready; its own report may still be on the way.
    DeadAtStart { error: StartError, has_reported: bool },
}

/// Whether a worker may still have arrays mapped that the master has dropped.
#[derive(Clone, Copy)]
pub(crate) enum Eviction {
    /// It has unmapped all arrays that had been dropped when it was told last.
    Idle,
    /// It has been told to unmap them.
    Requested,
    /// More arrays were dropped since it was told.
    RequestAgain,
}

/// Why a worker did not come up. `pid` is 0 if it has no process.
pub(crate) struct StartError {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

/// A message to the thread that starts workers.
pub(crate) enum Start {
    Worker(WorkerId),
    /// The pool has ended.
    NoMore,
}

impl Workers {
    /// Notes that a worker is going to be started.
    pub(crate) fn expect(&mut self, worker: WorkerId) {
        self.starting.insert(worker);
    }

    /// Notes the process of a worker that is being started, and the link to it.
    pub(crate) fn insert(&mut self, worker: WorkerId, pid: u32, link: Box<dyn Link>) {
        self.known.insert(worker, Worker::Starting { pid, link, has_reported: false });
    }

    /// Notes that a worker has come to `init`.
    pub(crate) fn mark_reported(&mut self, worker: WorkerId) {
        if let Some(
            Worker::Starting { has_reported, .. } | Worker::DeadAtStart { has_reported, .. },
        ) = self.known.get_mut(&worker)
        {
            *has_reported = true;
        }
    }

    /// A worker that was being started is ready: it is accepted, or, if the pool `is_closed`, told
    /// to end. Returns whether it was being started.
    pub(crate) fn come_up(&mut self, worker: WorkerId, is_closed: bool) -> bool {
        let is_starting = matches!(self.known.get(&worker), Some(Worker::Starting { .. }));
        if !is_starting || !self.starting.remove(&worker) {
            return false;
        }
        if let Some(Worker::Starting { pid, mut link, .. }) = self.known.remove(&worker) {
            if is_closed {
                let _ = link.request_end();
            } else {
                self.known.insert(
                    worker,
                    Worker::Up { pid, link, eviction: Eviction::Idle, may_spin: false },
                );
            }
        }
        true
    }

    /// The process of a worker that was being started and has not come up.
    pub(crate) fn pid_at_start(&self, worker: WorkerId) -> Option<u32> {
        match self.known.get(&worker)? {
            Worker::Starting { pid, .. } => Some(*pid),
            Worker::DeadAtStart { error, .. } => Some(error.pid),
            Worker::Up { .. } | Worker::Dead { .. } => None,
        }
    }

    /// Notes that a start has failed. Returns whether this is the first report of that.
    pub(crate) fn fail_start(&mut self, worker: WorkerId, error: StartError) -> bool {
        let is_first = self.starting.remove(&worker);
        if is_first {
            self.known.remove(&worker);
            self.last_start_error = Some(error);
        }
        is_first
    }

    /// Takes the reason for which the last start failed.
    pub(crate) fn take_start_error(&mut self) -> Option<StartError> {
        self.last_start_error.take()
    }

    /// Whether any workers are being started.
    pub(crate) fn are_starting(&self) -> bool {
        !self.starting.is_empty()
    }

    /// Notes that a worker is dead; its last messages may still be on the way. Returns whether it
    /// was up or being started; `None` if it was neither. `describe` explains, from how it ended,
    /// why a worker has not come up.
    pub(crate) fn mark_dead(
        &mut self,
        worker: WorkerId,
        loss: Loss,
        is_late: bool,
        describe: impl FnOnce(&Loss) -> String,
    ) -> Option<Died> {
        let (died, dead) = match self.known.remove(&worker)? {
            Worker::Starting { has_reported, .. } => {
                let error = StartError { pid: loss.pid, reason: describe(&loss) };
                let has_reported = has_reported || is_late;
                (Some(Died::AtStart), Worker::DeadAtStart { error, has_reported })
            }
            Worker::Up { link, .. } => (Some(Died::Up), Worker::Dead { loss, link }),
            dead => (None, dead),
        };
        self.known.insert(worker, dead);
        died
    }

    /// Removes a dead worker whose last messages have been received.
    pub(crate) fn take_dead(&mut self, worker: WorkerId) -> Option<Worker> {
        let is_dead =
            |known: &Worker| matches!(known, Worker::Dead { .. } | Worker::DeadAtStart { .. });
        self.known.get(&worker).is_some_and(is_dead).then(|| self.known.remove(&worker))?
    }

    /// The dead workers whose last messages may still be on the way.
    pub(crate) fn dead(&self) -> Vec<WorkerId> {
        let is_dead =
            |known: &Worker| matches!(known, Worker::Dead { .. } | Worker::DeadAtStart { .. });
        self.known.iter().filter(|(_, known)| is_dead(known)).map(|(worker, _)| *worker).collect()
    }

    /// The processes of workers that are up, oldest first.
    pub(crate) fn up(&self) -> impl Iterator<Item = (WorkerId, u32)> {
        self.known.iter().filter_map(|(worker, known)| match known {
            Worker::Up { pid, .. } => Some((*worker, *pid)),
            _ => None,
        })
    }

    /// The processes of all workers that live, except one.
    pub(crate) fn others(&self, worker: WorkerId) -> impl Iterator<Item = u32> {
        self.known.iter().filter_map(move |(other, known)| match known {
            Worker::Starting { pid, .. } | Worker::Up { pid, .. } => {
                (*other != worker).then_some(*pid)
            }
            Worker::Dead { .. } | Worker::DeadAtStart { .. } => None,
        })
    }

    /// The link to a worker that is up.
    pub(crate) fn link(&mut self, worker: WorkerId) -> Option<&mut dyn Link> {
        match self.known.get_mut(&worker)? {
            Worker::Up { link, .. } => Some(&mut **link),
            _ => None,
        }
    }

    /// The links to all workers that are up.
    pub(crate) fn links(&mut self) -> impl Iterator<Item = (WorkerId, &mut dyn Link)> {
        self.known.iter_mut().filter_map(|(worker, known)| match known {
            Worker::Up { link, .. } => Some((*worker, &mut **link as &mut dyn Link)),
            _ => None,
        })
    }

    /// Tells a worker whether it may look for its next task without sleeping.
    pub(crate) fn allow_spinning(&mut self, worker: WorkerId, allowed: bool) {
        if let Some(Worker::Up { link, may_spin, .. }) = self.known.get_mut(&worker)
            && *may_spin != allowed
        {
            *may_spin = allowed;
            link.allow_spinning(allowed);
        }
    }

    /// The views by which threads see whether there is something to poll.
    pub(crate) fn views(&self) -> Vec<LaneView> {
        let view = |known: &Worker| match known {
            Worker::Up { link, .. } => link.view(),
            _ => None,
        };
        self.known.values().filter_map(view).collect()
    }

    /// Has all workers unmap the arrays that the master has dropped. Each worker has at most one
    /// such request on its way.
    pub(crate) fn request_evictions(&mut self) {
        for known in self.known.values_mut() {
            if let Worker::Up { link, eviction, .. } = known {
                *eviction = match eviction {
                    Eviction::Idle => request_eviction(&mut **link),
                    Eviction::Requested | Eviction::RequestAgain => Eviction::RequestAgain,
                };
            }
        }
    }

    /// A worker has unmapped the arrays that had been dropped when it was told.
    pub(crate) fn on_evicted(&mut self, worker: WorkerId) {
        if let Some(Worker::Up { link, eviction, .. }) = self.known.get_mut(&worker) {
            *eviction = match eviction {
                Eviction::RequestAgain => request_eviction(&mut **link),
                Eviction::Requested | Eviction::Idle => Eviction::Idle,
            };
        }
    }

    /// Has a worker end that has run as many tasks as it should, and removes it; returns whether it
    /// was up.
    pub(crate) fn retire(&mut self, worker: WorkerId) -> bool {
        match self.known.remove(&worker) {
            Some(Worker::Up { mut link, .. }) => {
                let _ = link.request_end();
                true
            }
            Some(other) => {
                self.known.insert(worker, other);
                false
            }
            None => false,
        }
    }

    /// Has all workers end that are up, and removes them and those that have died since they came
    /// up. Workers that are being started stay until their start has succeeded or failed.
    pub(crate) fn dismiss(&mut self) {
        self.known.retain(|_, known| {
            if let Worker::Up { link, .. } = known {
                let _ = link.request_end();
            }
            matches!(known, Worker::Starting { .. } | Worker::DeadAtStart { .. })
        });
    }
}

/// The state in which a worker has died.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Died {
    AtStart,
    Up,
}

/// Sends a request. If the worker cannot be reached, the watch notices it, or the next task that is
/// sent.
fn request_eviction(link: &mut dyn Link) -> Eviction {
    link.request_eviction().map_or(Eviction::Idle, |()| Eviction::Requested)
}
