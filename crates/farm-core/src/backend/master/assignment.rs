//! Assignment: which worker is sent which task, and what is stolen from one worker for another.

use std::cmp::Reverse;
use std::ops::Range;
use std::time::Duration;

use super::{Action, Master, Ready, Rules, StealAmount, StealReason, WorkerState};
use crate::backend::task::{Task, TaskId, WorkerId};

/// A worker whose first task has run for longer than this is sent no more tasks, because that task
/// is not a short one.
const PATIENCE: Duration = Duration::from_millis(1);

impl Master {
    /// Sends each next task to the worker with the shortest backlog, and among these to the one
    /// that has answered last, since it is the most likely to be awake. A worker without any task
    /// is first to get what other workers were sent ahead, if that is older than the next task.
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

    /// Asks for something that a worker has not started, for a worker without any task: the oldest
    /// task that was sent ahead, or half of a batch. Returns whether something was asked for and is
    /// not stolen yet.
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

    /// Notes that `items`, the last ones of a task that a worker was sent, were stolen before they
    /// were started, to be given to another worker or to be cancelled. An empty range says that
    /// none could be stolen.
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
            // It was tried just now, so it is not tried again at once.
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

    /// Returns the workers that were sent a task, or parts of it, and may not have started on it.
    pub fn sent_to(&self, task: TaskId) -> Vec<WorkerId> {
        let has = |state: &WorkerState| match state {
            WorkerState::Ready(ready) => ready.backlog.iter().any(|t| t.id() == task),
            WorkerState::Starting => false,
        };
        self.workers.iter().filter(|(_, state)| has(state)).map(|(worker, _)| *worker).collect()
    }
}
