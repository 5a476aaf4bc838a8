//! Feeding: who is sent which task ahead, and what is taken back from one for another.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use super::{Action, Master, Ready, Rules, StealAmount, StealReason, WorkerState};
use crate::backend::task::{Task, TaskId, WorkerId};

/// A task that has run for longer is not short, and nothing more is sent behind it.
const PATIENCE: Duration = Duration::from_millis(1);

impl Master {
    /// Gives each next task to the worker with the shortest backlog, and of those to the one that was busy last, since
    /// it is the most likely to be awake. Who has nothing to do comes first to what others were sent ahead: that is older.
    pub(super) fn hand_out(&mut self, may_share: bool) {
        let Rules { window, tasks_per_worker, .. } = self.rules;
        let now = self.now;
        loop {
            let ready = self.workers.iter_mut().filter_map(|(worker, state)| match state {
                WorkerState::Ready(ready)
                    if ready.kill_reason.is_none()
                        && ready.backlog.len() < window
                        && (ready.backlog.is_empty() || now < ready.since + PATIENCE)
                        && tasks_per_worker.is_none_or(|most| ready.sent < most) =>
                {
                    Some((*worker, ready))
                }
                _ => None,
            });
            let key = |(_, ready): &(_, &mut Ready)| (ready.backlog.len(), Reverse(ready.last));
            let Some((worker, ready)) = ready.min_by_key(key) else { return };
            if ready.backlog.is_empty() && may_share && self.share() {
                return;
            }
            let Some(mut task) = self.todo.pop() else { return };
            let Some(WorkerState::Ready(ready)) = self.workers.get_mut(&worker) else { return };
            let share = tasks_per_worker.map_or(u64::MAX, |most| most - ready.sent);
            if (task.items.len() as u64) > share {
                let rest = task.items.start + share as u32..task.items.end;
                task.items.end = rest.start;
                self.todo.push(Task { items: rest, ..task.clone() });
            }
            if ready.backlog.is_empty() {
                ready.since = self.now;
            }
            ready.sent += task.items.len() as u64;
            ready.backlog.push_back(task.clone());
            let deadline = ready.deadline();
            self.set_alarm(deadline);
            self.actions.push_back(Action::Send(worker, task));
        }
    }

    /// Asks back what a worker has not started, for one that has nothing to do: the oldest task that was sent ahead, or
    /// half of a batch. Says whether there is something to ask for.
    fn share(&mut self) -> bool {
        if self.is_stealing {
            return true;
        }
        let ready = self.workers.iter().filter_map(|(worker, state)| match state {
            WorkerState::Ready(ready) if ready.kill_reason.is_none() => {
                Some((*worker, &ready.backlog))
            }
            _ => None,
        });
        let ahead = ready.clone().filter_map(|(worker, backlog)| Some((worker, backlog.get(1)?)));
        let next = self.todo.first();
        let is_older = |(_, task): &(_, &Task)| next.is_none_or(|next| task.id() < next);
        let oldest = ahead.min_by_key(|(_, task)| task.id()).filter(is_older);
        let found = match oldest {
            Some((worker, task)) => Some((worker, task.id(), StealAmount::All)),
            None if self.todo.is_empty() => {
                let running =
                    ready.filter_map(|(worker, backlog)| Some((worker, backlog.front()?)));
                let largest = running.max_by_key(|(_, task)| task.items.len());
                let largest = largest.filter(|(_, task)| task.items.len() > 1);
                largest.map(|(worker, task)| (worker, task.id(), StealAmount::Half))
            }
            None => None,
        };
        if let Some((worker, task, part)) = found {
            self.is_stealing = true;
            self.actions.push_back(Action::Steal(worker, task, part));
        }
        found.is_some()
    }

    /// The last items `items` of a task that a worker was sent have been taken back before they were started, for
    /// another worker or to be cancelled. None at all tells that nothing could be.
    pub fn on_stolen(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        items: Range<u32>,
        why: StealReason,
    ) {
        self.is_stealing = false;
        let is_it =
            |t: &Task| t.id() == task && t.items.end == items.end && t.items.start <= items.start;
        let found = match self.workers.get_mut(&worker) {
            Some(WorkerState::Ready(ready)) if !items.is_empty() => {
                ready.backlog.iter().rposition(is_it).map(|at| (ready, at))
            }
            _ => None,
        };
        let Some((ready, at)) = found else {
            // Not again at once: it has just been tried.
            if !self.closed && self.broken.is_none() {
                self.hand_out(false);
            }
            return;
        };
        ready.sent -= items.len() as u64;
        let part = ready.backlog[at].part(items.clone());
        ready.backlog[at].items.end = items.start;
        if ready.backlog[at].items.is_empty() {
            ready.backlog.remove(at);
            if at == 0 {
                ready.since = self.now;
            }
        }
        let deadline = ready.deadline();
        self.set_alarm(deadline);
        match why {
            StealReason::Share => self.todo.push(part),
            StealReason::Cancel => self.cancelled([part]),
        }
        self.retire(worker);
        self.settle();
    }

    /// The workers that have been sent a task, or parts of it, and may not have started on it.
    pub fn sent_to(&self, task: TaskId) -> Vec<WorkerId> {
        let has = |state: &WorkerState| match state {
            WorkerState::Ready(ready) => ready.backlog.iter().any(|t| t.id() == task),
            WorkerState::Starting => false,
        };
        self.workers.iter().filter(|(_, state)| has(state)).map(|(worker, _)| *worker).collect()
    }
}
