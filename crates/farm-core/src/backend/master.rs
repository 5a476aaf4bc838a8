//! The master: assigns tasks to workers. It is a state machine without input or output.
//!
//! Events come in as method calls, [`Master::next_action`] returns what is to be done, and the pool
//! does it. So the rules below hold for any transport, and are tested without a process.
//!
//! The states of a task, and the events that change them:
//!
//! ```text
//!         on_submitted          hand_out            on_answer
//!   (new) ────────────▶ to do ───────────▶ backlog ────────────▶ complete
//!                        │ ▲                │   │                   ▲
//!                        │ └─ next attempt ─┘   └─ failed for good ─┤
//!                        └───────────── cancelled, closed ──────────┘
//! ```
//!
//! - A worker runs its backlog in order and answers in order. So the first task of a backlog is the
//!   one that is running, or that will run next. When the worker dies, this task alone is charged,
//!   and only if the worker had taken it up or was killed because of it.
//! - A task returns to the to-do list for its next attempt if it was not charged with the death of
//!   its worker, if it was stolen, or if its failure is forgiven. It comes before later tasks,
//!   because the list is in the order of submission.
//! - An answer counts only if that task, in that attempt, is in the backlog of that worker.
//! - A worker is killed if its task exceeds its time limit, is cancelled while it runs, or has kept
//!   a handle of an array beyond its end. The outcome of this task is settled when the death is
//!   known. An answer for it that still comes does not count.
//! - A failure is forgiven as often as the policy of the task says.
//! - A backlog is never longer than the window, which keeps a transport's buffers from filling. A
//!   task in it that has not been started is stolen when another worker has nothing to do.
//! - A task may be a batch of many items. Each item is then what a task is in these rules.
//! - A lost worker is replaced at once. If workers keep ending before they do any work, they are
//!   replaced after growing pauses, until one of them works or the pool is given up.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use self::refill::Refill;
use crate::api::error::{Failure, Loss, Stage, TaskError};
use crate::backend::payload::Payload;
use crate::backend::task::{Attempt, Task, TaskId, WorkerId};
use crate::backend::todo::TodoList;

/// An action that the pool has to carry out.
#[derive(Debug)]
pub enum Action {
    /// Start a worker. The pool reports its end by [`Master::on_worker_lost`] or
    /// [`Master::on_start_failed`].
    Start(WorkerId),
    /// Send a task to a worker.
    Send(WorkerId, Task),
    /// Try to steal what a worker has not started of a task that it was sent, so that a worker
    /// without any task can have it. The pool reports by [`Master::on_stolen`] what was stolen.
    Steal(WorkerId, TaskId, StealAmount),
    /// Kill a worker. The pool reports its death by [`Master::on_worker_lost`].
    Kill(WorkerId),
    /// Let a worker end that has run its number of tasks. The master no longer knows this worker.
    Retire(WorkerId),
    /// Deliver the outcome of items of a task. Each item that was submitted is delivered once.
    /// There is more than one item only if they have returned: the payload then holds the encoded
    /// results, one after the other.
    Complete(TaskId, Range<u32>, Result<Payload, TaskError>),
}

/// How many workers a master has, and how it uses them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The number of workers.
    pub workers: usize,
    /// The largest number of tasks and batches that a worker has at a time, at least 1. Those that
    /// it has not started can be stolen.
    pub window: usize,
    /// The number of tasks after which a worker is replaced; `None` for never.
    pub tasks_per_worker: Option<u64>,
}

/// Which tasks a cancellation may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelScope {
    /// Only a task that no worker has.
    Waiting,
    /// Also a task that is running: its worker is killed.
    Running,
}

/// How much to steal of what has not been started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StealAmount {
    /// All of it.
    All,
    /// Half of it, rounded up.
    Half,
}

/// Why something is stolen from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StealReason {
    /// Another worker has nothing to do.
    Share,
    /// The task is cancelled.
    Cancel,
}

/// The state machine of a pool whose workers are reached by messages.
///
/// Its time is the one that the pool [sets](Self::set_time), which need not be that of a clock.
#[derive(Debug)]
pub struct Master {
    rules: Rules,
    now: Duration,
    next_worker: u32,
    todo: TodoList,
    workers: BTreeMap<WorkerId, WorkerState>,
    refill: Refill,
    broken: Option<Arc<str>>,
    closed: bool,
    actions: VecDeque<Action>,
    /// The earliest time at which [`tick`](Self::tick) is to be called, of those that were set
    /// since the last call of [`take_alarm`](Self::take_alarm).
    alarm: Option<Duration>,
    forgiven: u64,
    answers: u64,
    /// Whether the pool has not yet reported on the last [`Action::Steal`].
    is_stealing: bool,
}

/// The items that an answer is about. The items of a task are answered in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The task.
    pub task: TaskId,
    /// The attempt.
    pub attempt: Attempt,
    /// The first of the items.
    pub first: u32,
    /// The number of items; more than one only if they have returned.
    pub count: u32,
}

#[derive(Debug)]
enum WorkerState {
    Starting,
    Ready(Ready),
}

#[derive(Debug, Default)]
struct Ready {
    backlog: VecDeque<Task>,
    /// The time at which the first task of the backlog became the first.
    since: Duration,
    /// The number of items that the worker was sent, without those that were stolen or could not be
    /// sent.
    sent: u64,
    /// The number of items that the worker has answered.
    answered: u64,
    /// When the worker last answered, as the number of answers of all workers up to then.
    last: u64,
    kill_reason: Option<KillReason>,
}

/// Why a worker is being killed because of the first task of its backlog.
#[derive(Debug)]
enum KillReason {
    TimedOut(Duration),
    Cancelled,
    /// The worker still holds these handles of the task.
    Escaped(Vec<String>),
}

/// How an attempt has failed.
enum AttemptError {
    Lost(Box<Loss>),
    TimedOut(Duration),
    Failed(Failure),
}

impl Ready {
    fn deadline(&self) -> Option<Duration> {
        let limit = self.backlog.front()?.policy.timeout?;
        if self.kill_reason.is_some() { None } else { self.since.checked_add(limit) }
    }
}

impl Master {
    /// Makes a master without tasks. Its first actions start the workers.
    pub fn new(rules: Rules) -> Self {
        let mut master = Self {
            rules: Rules { window: rules.window.max(1), ..rules },
            now: Duration::ZERO,
            next_worker: 0,
            todo: TodoList::default(),
            workers: BTreeMap::new(),
            refill: Refill::new(rules.workers),
            broken: None,
            closed: false,
            actions: VecDeque::new(),
            alarm: None,
            forgiven: 0,
            answers: 0,
            is_stealing: false,
        };
        master.refill();
        master
    }

    /// Returns what is to be done next; `None` until the next event.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Sets the time of the events that follow. A time before the last one is ignored.
    pub fn set_time(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    /// Sets the time, has workers killed whose task has exceeded its time limit, and has workers
    /// started whose pause is over. Returns the time at which to call this again if nothing happens
    /// before.
    pub fn tick(&mut self, now: Duration) -> Option<Duration> {
        self.set_time(now);
        for (worker, state) in &mut self.workers {
            let WorkerState::Ready(ready) = state else { continue };
            if ready.deadline().is_some_and(|at| at <= self.now) {
                let limit = ready.backlog.front().and_then(|task| task.policy.timeout);
                ready.kill_reason = Some(KillReason::TimedOut(limit.unwrap_or_default()));
                self.actions.push_back(Action::Kill(*worker));
            }
        }
        self.refill();
        self.settle();
        self.alarm = None;
        let deadlines = self.workers.values().filter_map(|state| match state {
            WorkerState::Ready(ready) => ready.deadline(),
            WorkerState::Starting => None,
        });
        deadlines.chain(self.next_start()).min()
    }

    /// Returns the earliest time at which [`tick`](Self::tick) is to be called, of those that were
    /// set since the last call of this or of `tick`.
    pub fn take_alarm(&mut self) -> Option<Duration> {
        self.alarm.take()
    }

    /// Notes that a task was submitted.
    pub fn on_submitted(&mut self, task: Task) {
        self.todo.push(task);
        self.settle();
    }

    /// Notes that a worker is up and waits for tasks.
    pub fn on_worker_ready(&mut self, worker: WorkerId) {
        if let Some(state @ WorkerState::Starting) = self.workers.get_mut(&worker) {
            *state = WorkerState::Ready(Ready::default());
        }
        self.settle();
    }

    /// Notes that a worker has answered. Returns whether the answer was accepted.
    pub fn on_answer(
        &mut self,
        worker: WorkerId,
        answer: Answer,
        outcome: Result<Payload, Failure>,
    ) -> bool {
        let Some(WorkerState::Ready(ready)) = self.workers.get_mut(&worker) else { return false };
        let Some(at) = ready.backlog.iter().position(|task| answer.is_about(task)) else {
            return false;
        };
        if answer.count == 0 || (outcome.is_err() && answer.count > 1) {
            return false;
        }
        self.refill.note_work();
        if at == 0 && ready.kill_reason.is_some() {
            return false;
        }
        if let Err(Failure::Escaped { handles }) = outcome {
            ready.backlog.rotate_left(at);
            ready.kill_reason = Some(KillReason::Escaped(handles));
            self.actions.push_back(Action::Kill(worker));
            return true;
        }
        self.answers += 1;
        ready.last = self.answers;
        ready.answered += u64::from(answer.count);
        let items = answer.first..answer.first + answer.count;
        let task = &mut ready.backlog[at];
        task.items.start = items.end;
        let failed = outcome.is_err().then(|| task.part(items.clone()));
        if task.items.is_empty() {
            ready.backlog.remove(at);
        }
        ready.since = self.now;
        let next = ready.deadline();
        self.set_alarm(next);
        match outcome {
            Ok(results) => {
                self.actions.push_back(Action::Complete(answer.task, items, Ok(results)));
            }
            Err(failure) => {
                if let Some(task) = failed {
                    self.failed(task, AttemptError::Failed(failure));
                }
            }
        }
        self.retire(worker);
        self.refill();
        self.settle();
        true
    }

    /// Notes that a task could not be sent to the worker that it was assigned to, and never can be
    /// sent.
    pub fn on_unsent(&mut self, worker: WorkerId, task: TaskId, attempt: Attempt, reason: String) {
        let Some(WorkerState::Ready(ready)) = self.workers.get_mut(&worker) else { return };
        let is_it = |t: &Task| t.id() == task && t.attempt == attempt;
        let Some(at) = ready.backlog.iter().position(is_it) else { return };
        let Some(task) = ready.backlog.remove(at) else { return };
        ready.sent -= task.items.len() as u64;
        for item in task.items.clone() {
            let task = task.part(item..item + 1);
            let failure = Failure::NoRoom { stage: Stage::Argument, reason: reason.clone() };
            self.failed(task, AttemptError::Failed(failure));
        }
        self.settle();
    }

    /// Notes that a worker which was up has died. `taken_up` is the number of items that it had
    /// taken up since its start, which tells whether the first task of its backlog had been
    /// started.
    pub fn on_worker_lost(&mut self, loss: Loss, taken_up: u64) {
        let Some(state) = self.workers.remove(&loss.worker) else { return };
        let reason = loss.to_string();
        let mut note_useless = true;
        if let WorkerState::Ready(Ready { mut backlog, answered, kill_reason, .. }) = state {
            note_useless = answered == 0;
            let started = taken_up > answered;
            match (backlog.pop_front(), kill_reason) {
                (Some(task), None) if !started => backlog.push_front(task),
                (Some(mut task), kill_reason) => {
                    note_useless = false;
                    if task.items.len() > 1 {
                        let (first, end) = (task.items.start, task.items.end);
                        backlog.push_front(Task { items: first + 1..end, ..task.clone() });
                        task.items.end = first + 1;
                    }
                    match kill_reason {
                        None => self.failed(task, AttemptError::Lost(Box::new(loss))),
                        Some(KillReason::TimedOut(limit)) => {
                            self.failed(task, AttemptError::TimedOut(limit))
                        }
                        Some(KillReason::Cancelled) => self.cancelled([task]),
                        Some(KillReason::Escaped(handles)) => {
                            self.failed(task, AttemptError::Failed(Failure::Escaped { handles }));
                        }
                    }
                }
                (None, _) => {}
            }
            for mut task in backlog.into_iter().rev() {
                task.attempt = task.attempt.next();
                self.todo.push(task);
            }
        }
        self.ended(note_useless, &reason);
    }

    /// Notes that a worker has died, or has given up, before it was ready.
    pub fn on_start_failed(&mut self, worker: WorkerId, reason: &str) {
        if self.workers.remove(&worker).is_some() {
            self.ended(true, reason);
        }
    }

    /// Cancels a task; returns whether its outcome will therefore be [`TaskError::Cancelled`].
    pub fn cancel(&mut self, task: TaskId, scope: CancelScope) -> bool {
        let waiting = self.todo.remove(task);
        let found = !waiting.is_empty();
        self.cancelled(waiting);
        if found || scope == CancelScope::Waiting {
            return found;
        }
        for (worker, state) in &mut self.workers {
            let WorkerState::Ready(ready) = state else { continue };
            if ready.backlog.front().is_some_and(|first| first.id() == task) {
                match ready.kill_reason {
                    None => self.actions.push_back(Action::Kill(*worker)),
                    // The task has ended already; its outcome is the error about its handles.
                    Some(KillReason::Escaped(_)) => return false,
                    Some(KillReason::TimedOut(_) | KillReason::Cancelled) => {}
                }
                ready.kill_reason = Some(KillReason::Cancelled);
                return true;
            }
        }
        false
    }

    /// Starts no more workers, and ends all tasks that are not finished as cancelled.
    pub fn close(&mut self) {
        self.closed = true;
        self.actions.retain(|action| !matches!(action, Action::Start(_)));
        let workers = std::mem::take(&mut self.workers);
        for state in workers.into_values() {
            if let WorkerState::Ready(ready) = state {
                self.cancelled(ready.backlog);
            }
        }
        self.settle();
    }

    /// Returns whether every task has its outcome.
    pub fn is_idle(&self) -> bool {
        let at_rest = |state: &WorkerState| matches!(state, WorkerState::Ready(ready) if !ready.backlog.is_empty());
        self.todo.is_empty() && !self.workers.values().any(at_rest)
    }

    /// Returns how many tasks wait, including those that workers were sent ahead.
    pub fn queued(&self) -> usize {
        let ahead = |(_, tasks, _): (_, usize, _)| tasks.saturating_sub(1);
        self.todo.len() + self.ready_workers().map(ahead).sum::<usize>()
    }

    /// Returns the workers that are up; for each, how many tasks it has, and a number that is the
    /// larger the later the worker has answered.
    pub fn ready_workers(&self) -> impl Iterator<Item = (WorkerId, usize, u64)> {
        self.workers.iter().filter_map(|(worker, state)| match state {
            WorkerState::Ready(ready) => Some((*worker, ready.backlog.len(), ready.last)),
            WorkerState::Starting => None,
        })
    }

    /// Returns how many items a worker has answered.
    pub fn answered(&self, worker: WorkerId) -> u64 {
        match self.workers.get(&worker) {
            Some(WorkerState::Ready(ready)) => ready.answered,
            Some(WorkerState::Starting) | None => 0,
        }
    }

    /// Returns whether any worker is up.
    pub fn has_workers(&self) -> bool {
        self.workers.values().any(|state| matches!(state, WorkerState::Ready(_)))
    }

    /// Returns the task that a worker is running or will run next, if it has one.
    pub fn task_of(&self, worker: WorkerId) -> Option<&Task> {
        match self.workers.get(&worker)? {
            WorkerState::Ready(ready) => ready.backlog.front(),
            WorkerState::Starting => None,
        }
    }

    /// Returns how many failed attempts were forgiven since the last call.
    pub fn take_forgiven(&mut self) -> u64 {
        std::mem::take(&mut self.forgiven)
    }

    /// Returns why the pool was given up, if it was.
    pub fn broken(&self) -> Option<&Arc<str>> {
        self.broken.as_ref()
    }

    /// Puts the task on the to-do list for another attempt if its policy forgives the error;
    /// otherwise the error is its outcome.
    fn failed(&mut self, mut task: Task, error: AttemptError) {
        let forgiven = match &error {
            AttemptError::Lost(_) => true,
            AttemptError::TimedOut(_) => task.policy.retry_timeouts,
            AttemptError::Failed(Failure::Panicked { .. }) => task.policy.retry_panics,
            AttemptError::Failed(_) => false,
        };
        task.failures = task.failures.saturating_add(1);
        if forgiven && task.failures <= task.policy.retries && !self.closed {
            task.attempt = task.attempt.next();
            self.forgiven += 1;
            self.todo.push(task);
            return;
        }
        let (id, items, attempts) = (task.id(), task.items.clone(), task.failures);
        let task = task.name_of(items.start);
        let error = match error {
            AttemptError::Lost(loss) => TaskError::WorkerLost { task, loss, attempts },
            AttemptError::TimedOut(limit) => TaskError::TimedOut { task, limit, attempts },
            AttemptError::Failed(failure) => failure.of(task),
        };
        self.actions.push_back(Action::Complete(id, items, Err(error)));
    }

    /// Retires a worker that has answered all its tasks and gets no more.
    fn retire(&mut self, worker: WorkerId) {
        let Some(WorkerState::Ready(ready)) = self.workers.get(&worker) else { return };
        let has_done_all = self.rules.tasks_per_worker.is_some_and(|most| ready.sent >= most);
        if has_done_all && ready.backlog.is_empty() {
            self.workers.remove(&worker);
            self.actions.push_back(Action::Retire(worker));
        }
    }

    /// Replaces a worker that has ended, or gives the pool up.
    fn ended(&mut self, note_useless: bool, reason: &str) {
        if note_useless {
            self.refill.note_useless(self.now);
        } else {
            self.refill.note_work();
        }
        if let (true, Some(attempts)) = (self.workers.is_empty(), self.refill.hopeless_after()) {
            let reason = format!(
                "{attempts} workers in a row ended before doing any work; the last: {reason}"
            );
            self.broken.get_or_insert(reason.into());
        }
        self.refill();
        self.settle();
    }

    fn wants_to_start(&self) -> bool {
        self.workers.len() < self.rules.workers && self.broken.is_none() && !self.closed
    }

    /// When the next worker is to be started, if there is a pause before that.
    fn next_start(&self) -> Option<Duration> {
        self.refill.pause(self.now).filter(|_| self.wants_to_start())
    }

    /// Starts all workers that are missing, unless there must be a pause.
    fn refill(&mut self) {
        while self.wants_to_start() && self.refill.pause(self.now).is_none() {
            let worker = WorkerId(self.next_worker);
            self.next_worker += 1;
            self.workers.insert(worker, WorkerState::Starting);
            self.actions.push_back(Action::Start(worker));
            self.refill.started(self.now);
        }
        let next = self.next_start();
        self.set_alarm(next);
    }

    fn set_alarm(&mut self, at: Option<Duration>) {
        self.alarm = self.alarm.into_iter().chain(at).min();
    }

    /// Assigns the tasks that can be assigned, and ends those that never can be.
    fn settle(&mut self) {
        if self.closed {
            while let Some(task) = self.todo.pop() {
                self.cancelled([task]);
            }
        } else if let Some(reason) = &self.broken {
            while let Some(task) = self.todo.pop() {
                for item in task.items.clone() {
                    let (name, reason) = (task.name_of(item), reason.clone());
                    let error = TaskError::NoWorkers { task: name, reason };
                    self.actions.push_back(Action::Complete(task.id(), item..item + 1, Err(error)));
                }
            }
        } else {
            self.hand_out(true);
        }
    }

    fn cancelled(&mut self, tasks: impl IntoIterator<Item = Task>) {
        for task in tasks {
            for item in task.items.clone() {
                let error = TaskError::Cancelled { task: task.name_of(item) };
                self.actions.push_back(Action::Complete(task.id(), item..item + 1, Err(error)));
            }
        }
    }
}

impl Answer {
    /// Returns what the answer to a task that is not a batch is about.
    pub fn to(task: TaskId, attempt: Attempt) -> Self {
        Self { task, attempt, first: 0, count: 1 }
    }

    fn is_about(&self, task: &Task) -> bool {
        task.id() == self.task
            && task.attempt == self.attempt
            && task.items.start == self.first
            && (self.count as usize) <= task.items.len()
    }
}

mod assignment;
mod refill;
#[cfg(test)]
mod tests;
