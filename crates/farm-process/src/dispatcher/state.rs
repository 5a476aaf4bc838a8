//! The state that the dispatcher's lock protects: the master's decisions, the outcomes that are
//! owed, and the workers.

use farm_core::TaskId;
use farm_core::WorkerId;
use farm_core::backend::{Delivery, Mailbox, Master, Rules, StealAmount, StealReason, Task};

use super::idle_memory::IdleMemory;
use super::workers::Workers;
use crate::transport::outcome::outcome;
use crate::transport::{Broken, Unsent, WorkerEvent};

pub(crate) struct State {
    pub(crate) master: Master,
    pub(crate) mailbox: Mailbox,
    pub(crate) workers: Workers,
    pub(crate) closed: bool,
    /// Outcomes that are kept until the workers are dead; see `Dispatcher::close`.
    pub(crate) kept: Vec<Delivery>,
    /// Whether anything has been submitted since the last beat of the watch.
    pub(crate) active: bool,
    pub(crate) idle_memory: IdleMemory,
    /// Whether some task has a time limit, so that the master needs the time of each event.
    pub(crate) keeps_time: bool,
}

impl State {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            master: Master::new(rules),
            mailbox: Mailbox::default(),
            workers: Workers::default(),
            closed: false,
            kept: Vec::new(),
            active: false,
            idle_memory: IdleMemory::default(),
            keeps_time: false,
        }
    }

    /// Takes in the messages that have come by the links of workers; returns whether there were
    /// any. `on_broken` is called for workers that have written something invalid.
    pub(crate) fn poll(&mut self, mut on_broken: impl FnMut(WorkerId)) -> bool {
        let mut polled = false;
        let Self { workers, master, .. } = self;
        let mut evicted = Vec::new();
        for (worker, link) in workers.links() {
            let mut any = false;
            let result = loop {
                match link.poll() {
                    Ok(Some(WorkerEvent::Done { answer, ending, body })) => {
                        master.on_answer(worker, answer, outcome(ending, Ok(body)));
                    }
                    Ok(Some(WorkerEvent::Evicted)) => evicted.push(worker),
                    Ok(None) => break link.flush(any),
                    Err(broken) => break Err(broken),
                }
                any = true;
            };
            if let Err(Broken) = result {
                link.give_up();
                on_broken(worker);
            }
            polled |= any;
        }
        evicted.into_iter().for_each(|worker| self.workers.on_evicted(worker));
        polled
    }

    /// Sends a task to a worker; returns whether the worker must be killed because it cannot be
    /// reached.
    pub(crate) fn send(&mut self, worker: WorkerId, task: &Task) -> bool {
        let Some(link) = self.workers.link(worker) else { return false };
        let sent = link.send(task);
        if let Err(Unsent::Refused(reason)) = sent {
            self.master.on_unsent(worker, task.id(), task.attempt, reason);
            return false;
        }
        self.mailbox.mark_sent(task.id());
        sent.is_err()
    }

    /// Steals a part of a task from a worker, to give it to another.
    pub(crate) fn steal_to_share(&mut self, worker: WorkerId, task: TaskId, amount: StealAmount) {
        let stolen = self.workers.link(worker).and_then(|link| link.steal(task, amount));
        self.master.on_stolen(worker, task, stolen.unwrap_or(0..0), StealReason::Share);
    }

    /// Steals all items of a task that workers have been sent and have not taken up; returns
    /// whether there were any.
    pub(crate) fn steal_to_cancel(&mut self, task: TaskId) -> bool {
        let mut any = false;
        for worker in self.master.sent_to(task) {
            let Some(link) = self.workers.link(worker) else { continue };
            while let Some(items) = link.steal(task, StealAmount::All) {
                self.master.on_stolen(worker, task, items, StealReason::Cancel);
                any = true;
            }
        }
        any
    }

    /// Allows the workers that were busy last to look for tasks without sleeping, as far as there
    /// are cores on which nothing else works. For this, a worker counts as if its own tasks had
    /// just ended, and the program itself takes one core. Returns how many workers are busy.
    pub(crate) fn allow_spinning(&mut self, cores: usize) -> usize {
        let Self { workers, master, .. } = self;
        let (mut busy, mut latest) = (0, None);
        for (worker, tasks, last) in master.ready_workers() {
            busy += usize::from(tasks > 0);
            latest = latest.max((tasks == 0).then_some((last, worker)));
        }
        for (worker, tasks, _) in master.ready_workers() {
            let others = busy - usize::from(tasks > 0);
            // Of the workers that have nothing to do, only the one that was busy last.
            let is_next = tasks > 0 || latest.is_some_and(|(_, latest)| latest == worker);
            workers.allow_spinning(worker, is_next && others + 2 <= cores);
        }
        busy
    }
}
