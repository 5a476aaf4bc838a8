//! What the dispatcher's lock protects: the master's decisions, the outcomes that are owed, and the
//! workers.

use farm_core::TaskId;
use farm_core::WorkerId;
use farm_core::backend::{Delivery, Mailbox, Master, Rules, StealAmount, StealReason, Task};

use super::idle::IdleMemory;
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
    /// Something has been submitted since the last beat of the watch.
    pub(crate) active: bool,
    pub(crate) idle_memory: IdleMemory,
    /// Some task has a time limit, so that the time of each event matters.
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

    /// Takes in what workers have said by their links; says whether there was anything. `on_broken` is
    /// told of workers that have written what no worker writes.
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

    /// Sends a task to a worker; says whether the worker has to be killed because it is out of reach.
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

    /// Takes back a part of a task for another worker.
    pub(crate) fn steal_to_share(&mut self, worker: WorkerId, task: TaskId, amount: StealAmount) {
        let stolen = self.workers.link(worker).and_then(|link| link.steal(task, amount));
        self.master.on_stolen(worker, task, stolen.unwrap_or(0..0), StealReason::Share);
    }

    /// Takes back what workers have been sent of a task and have not started; says whether there was
    /// any.
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

    /// Lets those workers look for tasks without sleeping that were busy last, as far as there are cores
    /// on which nobody works: a worker counts as if it had just ended what it has, and the program itself
    /// takes one core. Returns how many workers are busy.
    pub(crate) fn allow_spinning(&mut self, cores: usize) -> usize {
        let Self { workers, master, .. } = self;
        let (mut busy, mut latest) = (0, None);
        for (worker, tasks, last) in master.ready_workers() {
            busy += usize::from(tasks > 0);
            latest = latest.max((tasks == 0).then_some((last, worker)));
        }
        for (worker, tasks, _) in master.ready_workers() {
            let others = busy - usize::from(tasks > 0);
            // Of several that have nothing to do, only the last.
            let is_next = tasks > 0 || latest.is_some_and(|(_, latest)| latest == worker);
            workers.allow_spinning(worker, is_next && others + 2 <= cores);
        }
        busy
    }
}
