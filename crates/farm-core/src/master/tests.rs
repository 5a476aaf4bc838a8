//! The rules of the master, under any order of events.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Action, Master};
use crate::{
    Attempt, Failure, Function, Loss, Payload, Task, TaskError, TaskId, TaskName, TaskOptions,
    WorkerId,
};

fn task() -> Task {
    let function = Function::of(f64::sqrt);
    Task {
        name: Arc::new(TaskName::new(function, &TaskOptions::new())),
        function: function.reference().expect("in the executable"),
        argument: Arc::new(Payload::from(Vec::new())),
        attempt: Attempt::FIRST,
    }
}

fn loss(worker: WorkerId) -> Loss {
    Loss { worker, pid: 1, signal: Some(9), code: None }
}

/// Carries out what the master asks for, and keeps books of its own.
struct World {
    master: Master,
    window: usize,
    starting: Vec<WorkerId>,
    /// What each worker that is up has been sent and has not answered, in order.
    sent: HashMap<WorkerId, Vec<(TaskId, Attempt)>>,
    /// Answers that never arrived in time: of dead workers, or given before.
    stale: Vec<(WorkerId, TaskId, Attempt)>,
    submitted: Vec<TaskId>,
    outcomes: HashMap<TaskId, Vec<Result<Payload, TaskError>>>,
}

impl World {
    fn new(workers: usize, window: usize) -> Self {
        let mut world = Self {
            master: Master::new(workers, window),
            window,
            starting: Vec::new(),
            sent: HashMap::new(),
            stale: Vec::new(),
            submitted: Vec::new(),
            outcomes: HashMap::new(),
        };
        world.act();
        world
    }

    fn act(&mut self) {
        while let Some(action) = self.master.next_action() {
            match action {
                Action::Start(worker) => self.starting.push(worker),
                Action::Send(worker, task) => {
                    let backlog = self.sent.get_mut(&worker).expect("sent to a worker that is up");
                    backlog.push((task.id(), task.attempt));
                    assert!(backlog.len() <= self.window, "the window is kept");
                }
                Action::Complete(task, outcome) => {
                    self.outcomes.entry(task).or_default().push(outcome);
                }
            }
        }
    }

    fn up(&self) -> Vec<WorkerId> {
        let mut up: Vec<_> = self.sent.keys().copied().collect();
        up.sort();
        up
    }

    fn step(&mut self, event: Event) {
        let pick = |list: &[WorkerId], n: usize| list.get(n % list.len().max(1)).copied();
        match event {
            Event::Submit => {
                let task = task();
                self.submitted.push(task.id());
                self.master.submitted(task);
            }
            Event::Ready(n) => {
                if let Some(worker) = pick(&self.starting, n) {
                    self.starting.retain(|other| *other != worker);
                    self.sent.insert(worker, Vec::new());
                    self.master.worker_ready(worker);
                }
            }
            Event::StartFails(n) => {
                if let Some(worker) = pick(&self.starting, n) {
                    self.starting.retain(|other| *other != worker);
                    self.master.start_failed(worker, &"no memory");
                }
            }
            Event::Answer(n, good) => {
                if let Some(worker) = pick(&self.up(), n) {
                    let backlog = self.sent.get_mut(&worker).expect("it is up");
                    if !backlog.is_empty() {
                        let (task, attempt) = backlog.remove(0);
                        self.stale.push((worker, task, attempt));
                        let outcome = if good {
                            Ok(Payload::from(vec![1]))
                        } else {
                            Err(Failure::Encode("no".to_owned()))
                        };
                        assert!(self.master.done(worker, task, attempt, outcome));
                    }
                }
            }
            Event::Dies(n) => {
                if let Some(worker) = pick(&self.up(), n) {
                    let backlog = self.sent.remove(&worker).expect("it is up");
                    self.stale
                        .extend(backlog.into_iter().map(|(task, attempt)| (worker, task, attempt)));
                    self.master.worker_lost(loss(worker));
                }
            }
            Event::Late(n) => {
                if let Some((worker, task, attempt)) = self.stale.get(n % self.stale.len().max(1)) {
                    let outcome = Ok(Payload::from(vec![2]));
                    assert!(!self.master.done(*worker, *task, *attempt, outcome), "a late answer");
                }
            }
            Event::Cancel(n) => {
                if let Some(task) = self.submitted.get(n % self.submitted.len().max(1)) {
                    self.master.cancel(*task);
                }
            }
        }
        self.act();
    }

    /// Lets every worker come up and answer until nothing is left to do.
    fn finish(&mut self) {
        while !self.master.is_idle() {
            let before = self.outcomes.len();
            let came_up = !self.starting.is_empty();
            self.step(Event::Ready(0));
            for n in 0..self.up().len() {
                self.step(Event::Answer(n, true));
            }
            assert!(came_up || self.outcomes.len() > before, "the master has stalled");
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Submit,
    Ready(usize),
    StartFails(usize),
    Answer(usize, bool),
    Dies(usize),
    Late(usize),
    Cancel(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => Just(Event::Submit),
        4 => any::<usize>().prop_map(Event::Ready),
        1 => any::<usize>().prop_map(Event::StartFails),
        6 => any::<(usize, bool)>().prop_map(|(n, good)| Event::Answer(n, good)),
        2 => any::<usize>().prop_map(Event::Dies),
        2 => any::<usize>().prop_map(Event::Late),
        1 => any::<usize>().prop_map(Event::Cancel),
    ];
    prop::collection::vec(event, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn each_task_has_exactly_one_outcome_under_any_order_of_events(
        workers in 1_usize..5,
        window in 1_usize..4,
        events in events(),
        close in any::<bool>(),
    ) {
        let mut world = World::new(workers, window);
        for event in events {
            world.step(event);
            let owed = world.submitted.len() - world.outcomes.len();
            prop_assert_eq!(world.master.is_idle(), owed == 0);
        }
        if close {
            world.master.close();
            world.act();
        } else {
            world.finish();
        }
        prop_assert!(world.master.is_idle());
        for task in &world.submitted {
            prop_assert_eq!(world.outcomes.get(task).map(Vec::len), Some(1));
        }
        prop_assert_eq!(world.outcomes.len(), world.submitted.len());
    }
}

#[test]
fn a_lost_worker_costs_only_the_task_that_was_running() {
    let mut world = World::new(1, 3);
    world.step(Event::Ready(0));
    (0..4).for_each(|_| world.step(Event::Submit));
    world.step(Event::Dies(0));
    assert_eq!(world.outcomes.len(), 1);
    let lost = &world.outcomes[&world.submitted[0]][0];
    assert!(matches!(lost, Err(TaskError::WorkerLost { attempts: Attempt(1), .. })), "{lost:?}");
    world.step(Event::Ready(0));
    let backlog = &world.sent[&WorkerId(1)];
    let expected = world.submitted[1..].to_vec();
    assert_eq!(backlog.iter().map(|(task, _)| *task).collect::<Vec<_>>(), expected);
    let attempts: Vec<_> = backlog.iter().map(|(_, attempt)| attempt.0).collect();
    assert_eq!(attempts, [2, 2, 1], "tasks that were sent before are at their second attempt");
}

#[test]
fn workers_that_die_idle_after_work_are_replaced_without_end() {
    let mut world = World::new(2, 1);
    for _ in 0..20 {
        world.step(Event::Ready(0));
        world.step(Event::Submit);
        world.step(Event::Answer(0, true));
        world.step(Event::Dies(0));
    }
    assert_eq!(world.master.broken(), None);
    assert_eq!(world.starting.len() + world.sent.len(), 2);
}

#[test]
fn workers_that_never_come_up_end_the_pool_with_one_reason() {
    let mut world = World::new(2, 1);
    world.step(Event::Submit);
    (0..3).for_each(|_| world.step(Event::StartFails(0)));
    assert!(world.outcomes.is_empty(), "one worker may still come up");
    world.step(Event::StartFails(0));
    assert!(world.starting.is_empty(), "no more attempts");
    let outcome = &world.outcomes[&world.submitted[0]][0];
    assert!(
        matches!(outcome, Err(TaskError::NoWorkers { reason, .. }) if reason.contains("no memory"))
    );
    world.step(Event::Submit);
    assert_eq!(world.outcomes.len(), 2, "later tasks fail at once");
}
