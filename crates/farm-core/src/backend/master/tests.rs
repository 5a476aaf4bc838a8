//! Tests of the master's rules, under any order of events.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::refill::{FIRST_PAUSE, LAST_CHANCES};
use super::{Action, Answer, CancelScope, Master, Rules, StealAmount, StealReason};
use crate::api::error::{Failure, Loss, Stage, TaskError};
use crate::api::options::{Policy, TaskOptions};
use crate::backend::payload::Payload;
use crate::backend::task::{Attempt, Task, TaskId, TaskName, WorkerId};
use crate::wire::function::Function;

const LIMIT: Duration = Duration::from_secs(1);

/// A task of its own, or a batch if there is more than one item.
fn task(items: u32, policy: Policy) -> Task {
    let function = Function::of(f64::sqrt);
    Task {
        name: Arc::new(TaskName::new(function, &TaskOptions::new())),
        function: function.reference().expect("in the executable"),
        argument: Payload::from(Vec::new()),
        items: 0..items,
        batch: (items > 1).then_some(items),
        attempt: Attempt::FIRST,
        failures: 0,
        policy,
    }
}

fn loss(worker: WorkerId) -> Loss {
    Loss { signal: Some(9), ..Loss::new(worker, 1) }
}

fn panicked() -> Failure {
    Failure::Panicked { message: "no".to_owned(), location: None, backtrace: String::new() }
}

/// One item of a task.
type Item = (TaskId, u32);

/// The rest of a task that a worker was sent.
#[derive(Clone, Debug)]
struct Sent {
    task: TaskId,
    attempt: Attempt,
    items: Range<u32>,
}

impl Sent {
    fn answer(&self, count: u32) -> Answer {
        Answer { task: self.task, attempt: self.attempt, first: self.items.start, count }
    }
}

/// A worker in the simulated world.
#[derive(Default)]
struct Worker {
    /// What it was sent and has not answered, in order.
    backlog: Vec<Sent>,
    answered: u64,
    sent: u64,
    /// Whether the master has asked to kill it.
    killed: bool,
}

/// Carries out the actions of the master, and counts independently of it.
struct World {
    master: Master,
    rules: Rules,
    now: Duration,
    starting: Vec<WorkerId>,
    workers: HashMap<WorkerId, Worker>,
    retired: usize,
    /// Answers that must not be accepted: those of dead workers, and those given before.
    stale: Vec<(WorkerId, Answer)>,
    on_submitted: Vec<(TaskId, u32, Policy)>,
    /// How often an item has failed, or was lost while it was running.
    charged: HashMap<Item, u32>,
    cancelled: HashSet<TaskId>,
    outcomes: HashMap<Item, Vec<Result<Payload, TaskError>>>,
    /// How many more requests to steal are fulfilled; later ones steal nothing.
    obliging: usize,
}

impl World {
    fn new(workers: usize, window: usize, tasks_per_worker: Option<u64>) -> Self {
        let rules = Rules { workers, window, tasks_per_worker };
        let mut world = Self {
            master: Master::new(rules),
            rules,
            now: Duration::ZERO,
            starting: Vec::new(),
            workers: HashMap::new(),
            retired: 0,
            stale: Vec::new(),
            on_submitted: Vec::new(),
            charged: HashMap::new(),
            cancelled: HashSet::new(),
            outcomes: HashMap::new(),
            obliging: usize::MAX,
        };
        world.act();
        world
    }

    fn act(&mut self) {
        while let Some(action) = self.master.next_action() {
            match action {
                Action::Start(worker) => self.starting.push(worker),
                Action::Send(worker, task) => {
                    let worker = self.workers.get_mut(&worker).expect("sent to one that is up");
                    assert!(!worker.killed, "sent to a worker that is being killed");
                    let (attempt, items) = (task.attempt, task.items.clone());
                    worker.sent += items.len() as u64;
                    worker.backlog.push(Sent { task: task.id(), attempt, items });
                    assert!(worker.backlog.len() <= self.rules.window, "the window is kept");
                    assert!(self.rules.tasks_per_worker.is_none_or(|most| worker.sent <= most));
                }
                Action::Kill(worker) => {
                    let worker = self.workers.get_mut(&worker).expect("one that is up is killed");
                    assert!(!worker.killed, "killed once");
                    worker.killed = true;
                }
                Action::Retire(worker) => {
                    let worker = self.workers.remove(&worker).expect("it was up");
                    assert!(worker.backlog.is_empty(), "a worker retires with a task");
                    assert_eq!(Some(worker.sent), self.rules.tasks_per_worker);
                    self.retired += 1;
                }
                Action::Steal(id, task, part) => self.take_back(id, task, part),
                Action::Complete(task, items, outcome) => {
                    assert!(outcome.is_ok() || items.len() == 1, "an error is that of one item");
                    for item in items {
                        let outcomes = self.outcomes.entry((task, item)).or_default();
                        outcomes.push(match &outcome {
                            Ok(result) => Ok(result.clone()),
                            Err(error) => Err(error.clone()),
                        });
                    }
                }
            }
        }
        let all = self.starting.len() + self.workers.len();
        assert!(all <= self.rules.workers, "{all} workers");
    }

    fn up(&self) -> Vec<WorkerId> {
        let mut up: Vec<_> = self.workers.keys().copied().collect();
        up.sort();
        up
    }

    /// Steals what is asked for, unless requests are not fulfilled any more. The first item of a
    /// worker counts as running.
    fn take_back(&mut self, id: WorkerId, task: TaskId, part: StealAmount) {
        let worker = self.workers.get_mut(&id).expect("one that is up is asked");
        assert!(!worker.killed, "nothing is asked of one that is being killed");
        let at = worker.backlog.iter().rposition(|sent| sent.task == task).expect("it has that");
        let Range { start, end } = worker.backlog[at].items;
        let from = match part {
            StealAmount::All => start + u32::from(at == 0),
            StealAmount::Half => end - (end - start) / 2,
        };
        let from = if self.obliging == 0 { end } else { from };
        self.obliging = self.obliging.saturating_sub(1);
        worker.backlog[at].items.end = from;
        worker.sent -= u64::from(end - from);
        if worker.backlog[at].items.is_empty() {
            worker.backlog.remove(at);
        }
        self.master.on_stolen(id, task, from..end, StealReason::Share);
    }

    fn submit(&mut self, policy: Policy) -> Item {
        (self.submit_envelope(1, policy), 0)
    }

    fn submit_envelope(&mut self, items: u32, policy: Policy) -> TaskId {
        let task = task(items, policy);
        let id = task.id();
        self.on_submitted.push((id, items, policy));
        self.master.on_submitted(task);
        self.act();
        id
    }

    /// All items that were submitted, with their policies.
    fn items(&self) -> Vec<(Item, Policy)> {
        let of = |&(task, items, policy)| (0..items).map(move |item| ((task, item), policy));
        self.on_submitted.iter().flat_map(of).collect()
    }

    fn step(&mut self, event: Event) {
        let pick = |list: &[WorkerId], n: usize| list.get(n % list.len().max(1)).copied();
        match event {
            Event::Submit(items, policy) => {
                self.submit_envelope(items, policy);
            }
            Event::Ready(n) => {
                if let Some(worker) = pick(&self.starting, n) {
                    self.starting.retain(|other| *other != worker);
                    self.workers.insert(worker, Worker::default());
                    self.master.on_worker_ready(worker);
                }
            }
            Event::StartFails(n) => {
                if let Some(worker) = pick(&self.starting, n) {
                    self.starting.retain(|other| *other != worker);
                    self.master.on_start_failed(worker, "no memory");
                }
            }
            Event::Answer(n, count, good) => {
                if let Some(id) = pick(&self.up(), n) {
                    let worker = self.workers.get_mut(&id).expect("it is up");
                    // A worker that is being killed may still have answered its first task.
                    let doomed = worker.killed;
                    if let Some(first) = worker.backlog.first_mut() {
                        let most = if good { first.items.len() as u32 } else { 1 };
                        let answer = first.answer(count.clamp(1, most));
                        if !doomed {
                            first.items.start += answer.count;
                            if first.items.is_empty() {
                                worker.backlog.remove(0);
                            }
                            worker.answered += u64::from(answer.count);
                            self.stale.push((id, answer));
                            if !good {
                                *self.charged.entry((answer.task, answer.first)).or_default() += 1;
                            }
                        }
                        let outcome =
                            if good { Ok(Payload::from(vec![1])) } else { Err(panicked()) };
                        let accepted = self.master.on_answer(id, answer, outcome);
                        assert_eq!(accepted, !doomed);
                    }
                }
            }
            Event::Escapes(n) => {
                if let Some(id) = pick(&self.up(), n)
                    && let worker = &self.workers[&id]
                    && let Some(first) = worker.backlog.first()
                {
                    let doomed = worker.killed;
                    let handles = vec!["a handle".to_owned()];
                    let escaped = Err(Failure::Escaped { handles });
                    assert_eq!(self.master.on_answer(id, first.answer(1), escaped), !doomed);
                    self.act();
                    assert!(self.workers[&id].killed, "it is ended");
                }
            }
            Event::Dies(n, started) => {
                if let Some(id) = pick(&self.up(), n) {
                    let worker = self.workers.remove(&id).expect("it is up");
                    let first = worker.backlog.first().map(|first| (first.task, first.items.start));
                    if let (Some(item), true) = (first, started || worker.killed) {
                        *self.charged.entry(item).or_default() += 1;
                    }
                    self.stale.extend(worker.backlog.iter().map(|sent| (id, sent.answer(1))));
                    self.master.on_worker_lost(loss(id), worker.answered + u64::from(started));
                }
            }
            Event::Late(n) => {
                if let Some((worker, answer)) = self.stale.get(n % self.stale.len().max(1)) {
                    let outcome = Ok(Payload::from(vec![2]));
                    assert!(!self.master.on_answer(*worker, *answer, outcome), "a late answer");
                }
            }
            Event::Cancel(n, reach) => {
                if let Some((task, ..)) = self.on_submitted.get(n % self.on_submitted.len().max(1))
                    && self.master.cancel(*task, reach)
                {
                    self.cancelled.insert(*task);
                }
            }
            Event::Obliging(n) => self.obliging = n,
            Event::Time(passed) => {
                self.now += passed;
                self.master.tick(self.now);
            }
        }
        self.act();
    }

    /// Lets time pass, and lets every worker come up and answer, until nothing is left to do.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            if self.master.is_idle() {
                return;
            }
            self.step(Event::Time(FIRST_PAUSE * 200));
            self.step(Event::Ready(0));
            for (n, worker) in self.up().into_iter().enumerate().rev() {
                if self.workers[&worker].killed {
                    self.step(Event::Dies(n, true));
                } else {
                    self.step(Event::Answer(n, u32::MAX, true));
                }
            }
        }
        panic!("the master has stalled");
    }
}

#[derive(Clone, Debug)]
enum Event {
    Submit(u32, Policy),
    Ready(usize),
    StartFails(usize),
    Answer(usize, u32, bool),
    Escapes(usize),
    Dies(usize, bool),
    Late(usize),
    Obliging(usize),
    Cancel(usize, CancelScope),
    Time(Duration),
}

fn policy() -> impl Strategy<Value = Policy> {
    (any::<bool>(), 0_u32..4, any::<bool>(), any::<bool>()).prop_map(
        |(limited, retries, retry_panics, retry_timeouts)| Policy {
            timeout: limited.then_some(LIMIT),
            retries,
            retry_panics,
            retry_timeouts,
        },
    )
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let reach = prop_oneof![Just(CancelScope::Waiting), Just(CancelScope::Running)];
    let items = prop_oneof![3 => Just(1_u32), 1 => 2_u32..9];
    let event = prop_oneof![
        6 => (items, policy()).prop_map(|(items, policy)| Event::Submit(items, policy)),
        4 => any::<usize>().prop_map(Event::Ready),
        1 => any::<usize>().prop_map(Event::StartFails),
        6 => (any::<usize>(), 1_u32..5, any::<bool>())
            .prop_map(|(n, count, good)| Event::Answer(n, count, good)),
        1 => (0_usize..5).prop_map(Event::Obliging),
        1 => any::<usize>().prop_map(Event::Escapes),
        3 => any::<(usize, bool)>().prop_map(|(n, started)| Event::Dies(n, started)),
        2 => any::<usize>().prop_map(Event::Late),
        1 => (any::<usize>(), reach).prop_map(|(n, reach)| Event::Cancel(n, reach)),
        2 => (0_u64..1500).prop_map(|ms| Event::Time(Duration::from_millis(ms))),
    ];
    prop::collection::vec(event, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn each_task_has_exactly_one_outcome_under_any_order_of_events(
        workers in 1_usize..5,
        window in 1_usize..4,
        tasks_per_worker in prop_oneof![Just(None), (1_u64..4).prop_map(Some)],
        events in events(),
        close in any::<bool>(),
    ) {
        let mut world = World::new(workers, window, tasks_per_worker);
        for event in events {
            world.step(event);
            let owed = world.items().len() - world.outcomes.len();
            prop_assert_eq!(world.master.is_idle(), owed == 0);
        }
        if close {
            world.master.close();
            world.act();
        } else {
            world.finish();
        }
        prop_assert!(world.master.is_idle());
        let items = world.items();
        prop_assert_eq!(world.outcomes.len(), items.len());
        for (item, policy) in &items {
            let (task, outcomes) = (&item.0, &world.outcomes[item]);
            prop_assert_eq!(outcomes.len(), 1);
            let charged = world.charged.get(item).copied().unwrap_or(0);
            match &outcomes[0] {
                Ok(_) => {
                    prop_assert!(charged <= policy.retries, "{charged} failures are too many");
                    let alone = items.iter().filter(|((other, _), _)| other == task).count() == 1;
                    prop_assert!(!alone || !world.cancelled.contains(task), "cancelled and yet answered");
                }
                Err(TaskError::WorkerLost { attempts, .. }) => {
                    prop_assert_eq!(*attempts, policy.retries + 1);
                    prop_assert_eq!(*attempts, charged);
                }
                Err(TaskError::TimedOut { attempts, .. }) => {
                    prop_assert!(policy.timeout.is_some());
                    prop_assert!(*attempts == charged && charged > 0);
                }
                Err(TaskError::Panicked { .. }) => {
                    prop_assert!(charged > 0 && (!policy.retry_panics || charged > policy.retries));
                }
                Err(TaskError::Cancelled { .. }) => {
                    prop_assert!(close || world.cancelled.contains(task));
                }
                Err(TaskError::Escaped { .. }) => prop_assert!(charged > 0),
                Err(TaskError::NoWorkers { .. }) => {}
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}

#[test]
fn a_lost_worker_costs_only_the_task_that_was_running() {
    let mut world = World::new(1, 3, None);
    world.step(Event::Ready(0));
    let tasks: Vec<_> = (0..4).map(|_| world.submit(Policy::default())).collect();
    world.step(Event::Dies(0, true));
    assert_eq!(world.outcomes.len(), 1);
    let lost = &world.outcomes[&tasks[0]][0];
    assert!(matches!(lost, Err(TaskError::WorkerLost { attempts: 1, .. })), "{lost:?}");
    world.step(Event::Ready(0));
    let backlog = &world.workers[&WorkerId(1)].backlog;
    assert_eq!(backlog.iter().map(|sent| (sent.task, 0)).collect::<Vec<_>>(), tasks[1..]);
    let attempts: Vec<_> = backlog.iter().map(|sent| sent.attempt.0).collect();
    assert_eq!(attempts, [2, 2, 1], "tasks that were sent before are at their second attempt");
}

#[test]
fn a_lost_worker_costs_only_the_item_that_was_running() {
    let mut world = World::new(1, 1, None);
    world.step(Event::Ready(0));
    let task = world.submit_envelope(10, Policy::default());
    world.step(Event::Answer(0, 3, true));
    world.step(Event::Dies(0, true));
    assert_eq!(world.outcomes.len(), 4);
    assert!((0..3).all(|item| world.outcomes[&(task, item)][0].is_ok()));
    let lost = &world.outcomes[&(task, 3)][0];
    assert!(matches!(lost, Err(TaskError::WorkerLost { attempts: 1, .. })), "{lost:?}");
    world.step(Event::Ready(0));
    assert_eq!(world.workers[&WorkerId(1)].backlog[0].items, 4..10);
}

#[test]
fn a_worker_that_has_nothing_to_do_takes_over_from_others() {
    let mut world = World::new(2, 4, None);
    world.step(Event::Ready(0));
    let tasks: Vec<_> = (0..3).map(|_| world.submit(Policy::default())).collect();
    world.step(Event::Ready(0));
    let [first, second] = [0, 1].map(|worker| &world.workers[&WorkerId(worker)].backlog);
    // The oldest task that has not been started is stolen.
    assert_eq!(first.iter().map(|sent| sent.task).collect::<Vec<_>>(), [tasks[0].0, tasks[2].0]);
    assert_eq!(second.iter().map(|sent| sent.task).collect::<Vec<_>>(), [tasks[1].0]);
    world.step(Event::Answer(1, 1, true));
    assert_eq!(world.workers[&WorkerId(1)].backlog[0].task, tasks[2].0);
    world.step(Event::Answer(1, 1, true));
    assert!(world.workers[&WorkerId(1)].backlog.is_empty(), "what runs stays where it is");
}

#[test]
fn what_one_worker_has_not_started_of_a_batch_is_shared() {
    let mut world = World::new(2, 4, None);
    (0..2).for_each(|_| world.step(Event::Ready(0)));
    world.submit_envelope(9, Policy::default());
    let shares = |world: &World| {
        let of = |worker| world.workers[&WorkerId(worker)].backlog.iter().map(|s| s.items.len());
        [0, 1].map(|worker| of(worker).sum::<usize>())
    };
    assert_eq!(shares(&world).iter().sum::<usize>(), 9);
    assert_eq!(shares(&world).iter().max(), Some(&5));
    world.finish();
}

#[test]
fn a_task_that_its_dead_worker_had_not_taken_up_is_not_charged() {
    let mut world = World::new(1, 1, None);
    let task = world.submit(Policy::default());
    for _ in 0..3 {
        world.step(Event::Ready(0));
        world.step(Event::Dies(0, false));
        world.step(Event::Time(FIRST_PAUSE * 2));
    }
    assert!(world.outcomes.is_empty());
    world.finish();
    assert!(world.outcomes[&task][0].is_ok());
}

#[test]
fn killing_workers_on_account_of_their_tasks_never_ends_a_pool() {
    for (limit, taken_up) in [(None, true), (None, false), (Some(Duration::ZERO), false)] {
        let mut world = World::new(1, 1, None);
        for n in 0..20 {
            world.step(Event::Ready(0));
            let task = world.submit(Policy { timeout: limit, ..Policy::default() });
            match limit {
                Some(_) => world.step(Event::Time(Duration::ZERO)),
                None => world.step(Event::Cancel(n, CancelScope::Running)),
            }
            world.step(Event::Dies(0, taken_up));
            let outcome = &world.outcomes[&task][0];
            match limit {
                Some(_) => assert!(matches!(outcome, Err(TaskError::TimedOut { .. }))),
                None => assert!(matches!(outcome, Err(TaskError::Cancelled { .. }))),
            }
            assert_eq!(world.starting.len(), 1, "a replacement at once");
        }
        assert_eq!(world.master.broken(), None);
    }
}

#[test]
fn a_task_that_keeps_a_handle_has_its_outcome_when_its_worker_is_dead() {
    let mut world = World::new(1, 2, None);
    world.step(Event::Ready(0));
    let [first, second] =
        [(); 2].map(|()| world.submit(Policy { retries: 3, ..Policy::default() }));
    world.step(Event::Escapes(0));
    assert!(world.outcomes.is_empty(), "somebody may still be writing");
    assert!(!world.master.cancel(first.0, CancelScope::Running), "it has ended");
    world.step(Event::Dies(0, true));
    let outcome = &world.outcomes[&first][0];
    assert!(matches!(outcome, Err(TaskError::Escaped { handles, .. }) if handles.len() == 1));
    world.finish();
    assert!(world.outcomes[&second][0].is_ok());
}

#[test]
fn a_task_that_cannot_be_sent_does_not_count_as_one_that_was_done() {
    let mut world = World::new(1, 1, None);
    world.step(Event::Ready(0));
    let on_unsent = world.submit(Policy { retries: 5, ..Policy::default() });
    let reason = "no descriptor".to_owned();
    world.master.on_unsent(WorkerId(0), on_unsent.0, Attempt::FIRST, reason);
    world.workers.get_mut(&WorkerId(0)).unwrap().backlog.clear();
    world.act();
    let outcome = &world.outcomes[&on_unsent][0];
    assert!(
        matches!(outcome, Err(TaskError::NoRoom { stage: Stage::Argument, .. })),
        "{outcome:?}"
    );
    // The next task that is taken up is therefore the first, and is charged with the worker's
    // death.
    let next = world.submit(Policy::default());
    world.step(Event::Dies(0, true));
    let outcome = &world.outcomes[&next][0];
    assert!(matches!(outcome, Err(TaskError::WorkerLost { attempts: 1, .. })), "{outcome:?}");
}

#[test]
fn a_poison_task_costs_one_worker_for_each_attempt() {
    for retries in [0, 1, 4] {
        let mut world = World::new(1, 1, None);
        let policy = Policy { retries, ..Policy::default() };
        let poison = world.submit(policy);
        let mut died = 0;
        while world.outcomes.is_empty() {
            world.step(Event::Ready(0));
            world.step(Event::Dies(0, true));
            died += 1;
        }
        assert_eq!(died, retries + 1);
        let lost = &world.outcomes[&poison][0];
        assert!(
            matches!(lost, Err(TaskError::WorkerLost { attempts, .. }) if *attempts == died),
            "{lost:?}"
        );
    }
}

#[test]
fn time_counts_from_when_a_task_is_the_first_of_its_worker() {
    let mut world = World::new(1, 2, None);
    world.step(Event::Ready(0));
    let policy = Policy { timeout: Some(LIMIT), ..Policy::default() };
    let [_, second] = [(); 2].map(|()| world.submit(policy));
    assert_eq!(world.master.take_alarm(), Some(LIMIT));
    world.step(Event::Time(LIMIT * 3 / 4));
    world.step(Event::Answer(0, 1, true));
    world.step(Event::Time(LIMIT * 3 / 4));
    assert!(!world.workers[&WorkerId(0)].killed, "the second has had three quarters of its time");
    world.step(Event::Time(LIMIT / 4));
    assert!(world.workers[&WorkerId(0)].killed);
    assert!(
        !world.outcomes.contains_key(&second),
        "the rows are not back before the death is known"
    );
    world.step(Event::Dies(0, true));
    let outcome = &world.outcomes[&second][0];
    assert!(matches!(outcome, Err(TaskError::TimedOut { limit: LIMIT, .. })), "{outcome:?}");
}

#[test]
fn workers_that_die_idle_after_work_are_replaced_without_end() {
    let mut world = World::new(2, 1, None);
    for _ in 0..20 {
        world.step(Event::Ready(0));
        world.step(Event::Submit(1, Policy::default()));
        world.step(Event::Answer(0, 1, true));
        world.step(Event::Dies(0, false));
    }
    assert_eq!(world.master.broken(), None);
    assert_eq!(world.starting.len() + world.workers.len(), 2);
}

#[test]
fn workers_that_never_come_up_are_tried_with_growing_pauses_and_then_given_up() {
    let mut world = World::new(2, 1, None);
    let task = world.submit(Policy::default());
    (0..2).for_each(|_| world.step(Event::StartFails(0)));
    for n in 0..LAST_CHANCES {
        assert!(world.starting.is_empty() && world.outcomes.is_empty());
        let pause = FIRST_PAUSE * (1 << n);
        assert_eq!(world.master.tick(world.now), Some(world.now + pause));
        world.step(Event::Time(pause));
        assert_eq!(world.starting.len(), 1, "one at a time");
        world.step(Event::StartFails(0));
    }
    assert!(world.starting.is_empty(), "no more attempts");
    let outcome = &world.outcomes[&task][0];
    assert!(
        matches!(outcome, Err(TaskError::NoWorkers { reason, .. }) if reason.contains("no memory"))
    );
    world.step(Event::Submit(1, Policy::default()));
    assert_eq!(world.outcomes.len(), 2, "later tasks fail at once");
    assert_eq!(world.master.tick(world.now), None);
}

#[test]
fn a_pool_with_a_living_worker_is_never_given_up() {
    let mut world = World::new(2, 1, None);
    world.step(Event::Ready(0));
    for _ in 0..50 {
        world.step(Event::Time(FIRST_PAUSE * 200));
        world.step(Event::StartFails(0));
    }
    assert_eq!(world.master.broken(), None);
    let task = world.submit(Policy::default());
    world.step(Event::Answer(0, 1, true));
    assert!(world.outcomes[&task][0].is_ok());
    assert_eq!(world.starting.len(), 1, "work gives hope");
}

#[test]
fn a_worker_retires_after_its_number_of_tasks_and_is_no_loss() {
    let mut world = World::new(1, 1, Some(2));
    (0..10).for_each(|_| world.step(Event::Submit(1, Policy::default())));
    world.finish();
    assert_eq!(world.retired, 5);
    assert!(world.outcomes.values().all(|outcomes| outcomes[0].is_ok()));
}
