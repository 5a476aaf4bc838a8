//! Who gets which task: a state machine without input or output.
//!
//! Events come in as method calls, what is to be done comes out of [`Master::next_action`], and the pool
//! carries it out. So every rule below holds on any transport, and is tested without a process.
//!
//! States of a task, and the events that move it:
//!
//! ```text
//!            submitted            hand out                done
//!   (new) ─────────────▶ to do ─────────────▶ backlog ─────────────▶ complete
//!                         │  ▲                 │    │                   ▲
//!                         │  └── lost, not ────┘    └── lost, running ──┤
//!                         │      started: next attempt                  │
//!                         └────────────── cancelled, closed ────────────┘
//! ```
//!
//! - A worker runs its backlog in order and answers in order, so of a dead worker's backlog the first
//!   task is the one that was running. It alone is charged; the others go back to the front of the list.
//! - An answer counts only if that task, in that attempt, is in that worker's backlog.
//! - A backlog is never longer than the window, which keeps a transport's buffers from filling.
//! - A lost worker is replaced, unless workers keep dying without getting any work done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::{Attempt, Failure, Loss, Payload, Task, TaskError, TaskId, TodoList, WorkerId};

/// What the pool has to do next.
#[derive(Debug)]
pub enum Action {
    /// Start a worker; its end will be told by [`Master::worker_lost`] or [`Master::start_failed`].
    Start(WorkerId),
    /// Send a task to a worker.
    Send(WorkerId, Task),
    /// Deliver an outcome. This happens once for each task that was submitted.
    Complete(TaskId, Result<Payload, TaskError>),
}

/// The state machine behind a pool of workers that are reached by messages.
#[derive(Debug)]
pub struct Master {
    wanted: usize,
    window: usize,
    next_worker: u32,
    todo: TodoList,
    workers: BTreeMap<WorkerId, Desk>,
    /// Workers lost in a row that had never answered or been charged.
    barren: usize,
    broken: Option<Arc<str>>,
    closed: bool,
    actions: VecDeque<Action>,
}

#[derive(Debug)]
enum Desk {
    Starting,
    Ready { backlog: VecDeque<Task>, has_worked: bool },
}

impl Master {
    /// A master of `workers` workers, each of which is sent at most `window` tasks ahead.
    pub fn new(workers: usize, window: usize) -> Self {
        let mut master = Self {
            wanted: workers,
            window: window.max(1),
            next_worker: 0,
            todo: TodoList::default(),
            workers: BTreeMap::new(),
            barren: 0,
            broken: None,
            closed: false,
            actions: VecDeque::new(),
        };
        master.refill();
        master
    }

    /// What is to be done next; `None` until the next event.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// A task was submitted.
    pub fn submitted(&mut self, task: Task) {
        self.todo.push(task);
        self.settle();
    }

    /// A worker is up and waits for tasks.
    pub fn worker_ready(&mut self, worker: WorkerId) {
        if let Some(desk @ Desk::Starting) = self.workers.get_mut(&worker) {
            *desk = Desk::Ready { backlog: VecDeque::new(), has_worked: false };
        }
        self.settle();
    }

    /// A worker has answered. Returns whether the answer was accepted.
    pub fn done(
        &mut self,
        worker: WorkerId,
        task: TaskId,
        attempt: Attempt,
        outcome: Result<Payload, Failure>,
    ) -> bool {
        let Some(Desk::Ready { backlog, has_worked }) = self.workers.get_mut(&worker) else {
            return false;
        };
        let Some(at) = backlog.iter().position(|t| t.id() == task && t.attempt == attempt) else {
            return false;
        };
        let Some(task) = backlog.remove(at) else { return false };
        *has_worked = true;
        self.barren = 0;
        let outcome = outcome.map_err(|failure| failure.of(task.name.clone()));
        self.actions.push_back(Action::Complete(task.id(), outcome));
        self.settle();
        true
    }

    /// A worker that was up has died.
    pub fn worker_lost(&mut self, loss: Loss) {
        let Some(desk) = self.workers.remove(&loss.worker) else { return };
        self.barren += 1;
        if let Desk::Ready { mut backlog, has_worked } = desk {
            if has_worked {
                self.barren = 0;
            }
            if let Some(task) = backlog.pop_front() {
                self.barren = 0;
                let (id, attempts) = (task.id(), task.attempt);
                let error = TaskError::WorkerLost { task: task.name, loss: loss.clone(), attempts };
                self.actions.push_back(Action::Complete(id, Err(error)));
            }
            for mut task in backlog.into_iter().rev() {
                task.attempt = task.attempt.next();
                self.todo.put_back(task);
            }
        }
        self.give_up_on_barren_workers(&loss);
        self.refill();
        self.settle();
    }

    /// A worker has died, or given up, before it was ready.
    pub fn start_failed(&mut self, worker: WorkerId, reason: &dyn std::fmt::Display) {
        if self.workers.remove(&worker).is_some() {
            self.barren += 1;
            self.give_up_on_barren_workers(reason);
            self.refill();
            self.settle();
        }
    }

    /// Takes a task that no worker has off the list, and says whether there was one.
    pub fn cancel(&mut self, task: TaskId) -> bool {
        let removed = self.todo.remove(task);
        let was_there = removed.is_some();
        self.cancelled(removed);
        was_there
    }

    /// Starts no more workers and ends all that is not done as cancelled.
    pub fn close(&mut self) {
        self.closed = true;
        let workers = std::mem::take(&mut self.workers);
        for desk in workers.into_values() {
            if let Desk::Ready { backlog, .. } = desk {
                self.cancelled(backlog);
            }
        }
        self.settle();
    }

    /// Whether every task has its outcome.
    pub fn is_idle(&self) -> bool {
        let at_rest =
            |desk: &Desk| matches!(desk, Desk::Ready { backlog, .. } if !backlog.is_empty());
        self.todo.is_empty() && !self.workers.values().any(at_rest)
    }

    /// Whether a worker is up.
    pub fn has_workers(&self) -> bool {
        self.workers.values().any(|desk| matches!(desk, Desk::Ready { .. }))
    }

    /// Why the pool has stopped replacing its workers, if it has.
    pub fn broken(&self) -> Option<&Arc<str>> {
        self.broken.as_ref()
    }

    fn give_up_on_barren_workers(&mut self, reason: &dyn std::fmt::Display) {
        if self.broken.is_none() && self.barren >= self.wanted.max(3) {
            let reason = format!(
                "{} workers in a row ended before doing any work; the last: {reason}",
                self.barren
            );
            self.broken = Some(reason.into());
        }
    }

    fn refill(&mut self) {
        while self.workers.len() < self.wanted && self.broken.is_none() && !self.closed {
            let worker = WorkerId(self.next_worker);
            self.next_worker += 1;
            self.workers.insert(worker, Desk::Starting);
            self.actions.push_back(Action::Start(worker));
        }
    }

    /// Hands out what can be handed out, and ends what can never be.
    fn settle(&mut self) {
        if self.closed {
            while let Some(task) = self.todo.pop() {
                self.cancelled([task]);
            }
        } else if let (Some(reason), true) = (&self.broken, self.workers.is_empty()) {
            while let Some(task) = self.todo.pop() {
                let id = task.id();
                let error = TaskError::NoWorkers { task: task.name, reason: reason.clone() };
                self.actions.push_back(Action::Complete(id, Err(error)));
            }
        } else {
            self.hand_out();
        }
    }

    /// Gives each next task to the worker with the shortest backlog.
    fn hand_out(&mut self) {
        while !self.todo.is_empty() {
            let ready = self.workers.iter_mut().filter_map(|(worker, desk)| match desk {
                Desk::Ready { backlog, .. } if backlog.len() < self.window => {
                    Some((*worker, backlog))
                }
                _ => None,
            });
            let Some((worker, backlog)) = ready.min_by_key(|(_, backlog)| backlog.len()) else {
                break;
            };
            let Some(task) = self.todo.pop() else { break };
            backlog.push_back(task.clone());
            self.actions.push_back(Action::Send(worker, task));
        }
    }

    fn cancelled(&mut self, tasks: impl IntoIterator<Item = Task>) {
        for task in tasks {
            let id = task.id();
            self.actions
                .push_back(Action::Complete(id, Err(TaskError::Cancelled { task: task.name })));
        }
    }
}

#[cfg(test)]
mod tests;
