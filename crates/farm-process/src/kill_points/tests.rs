//! Tests that kill a worker at every boundary between messages, and between the steps in which a
//! worker wakes its master.
//!
//! In these tests, each worker counts how often it comes to the beginning or the end of a `send` or
//! `receive`, or between two steps of waking the master. The first worker that comes to a given
//! number kills itself there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use rustix::process::{Signal, getpid, kill_process};

use crate::{Pool, Transport};

crate::init_before_main!();

/// Boundaries of one kind.
pub(crate) struct Boundaries {
    /// The environment variable with the number of the boundary, and the path of a file that does
    /// not exist until a worker has died there.
    variable: &'static str,
    passed: AtomicUsize,
}

pub(crate) static MESSAGES: Boundaries = Boundaries::new("FARM_TEST_BOUNDARY");
pub(crate) static WAKE_STEPS: Boundaries = Boundaries::new("FARM_TEST_WAKE_STEP");

impl Boundaries {
    const fn new(variable: &'static str) -> Self {
        Self { variable, passed: AtomicUsize::new(0) }
    }

    pub(crate) fn pass(&self) {
        let Ok(boundary) = std::env::var(self.variable) else { return };
        let (at, file) = boundary.split_once(':').expect("a number and a path");
        let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if passed == at.parse::<usize>().expect("a number")
            && std::fs::File::create_new(file).is_ok()
        {
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}

/// The file that tells whether a worker has died in this round. It is removed when this is dropped.
struct DeathFile(PathBuf);

impl DeathFile {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("boundary-{}-{n}", std::process::id())))
    }

    /// The value of the environment variable that makes a worker die at that boundary.
    fn at(&self, boundary: usize) -> String {
        format!("{boundary}:{}", self.0.display())
    }
}

impl Drop for DeathFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A task whose argument and result go through the socket, or, for the longer half, through blocks
/// beside it.
fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

fn items() -> impl Iterator<Item = Vec<u8>> {
    (0..120_u8).map(|n| (0..1000 + 300 * usize::from(n)).map(|i| i as u8 ^ n).collect())
}

/// Kills a worker at that boundary of its life while the pool maps; returns how many tasks were
/// lost.
fn round(
    transport: Transport,
    workers: usize,
    boundary: usize,
    retries: u32,
    in_batches: bool,
) -> usize {
    let file = DeathFile::new();
    let pool = Pool::builder()
        .workers(workers)
        .transport(transport)
        .retries(retries)
        .env(MESSAGES.variable, file.at(boundary))
        .build()
        .expect("one dies");
    let mut lost = 0;
    let outcomes: Vec<_> = if in_batches {
        pool.map_each(reversed, items())
    } else {
        let handles: Vec<_> = items().map(|item| pool.submit(reversed, item)).collect();
        handles.into_iter().map(TaskHandle::get).collect()
    };
    for (outcome, item) in outcomes.into_iter().zip(items()) {
        match outcome {
            Ok(result) => assert!(result == reversed(item), "boundary {boundary}"),
            Err(TaskError::WorkerLost { .. }) => lost += 1,
            Err(error) => panic!("boundary {boundary}: {error}"),
        }
    }
    assert!(file.0.exists(), "nobody came to boundary {boundary}");
    pool.shutdown();
    lost
}

#[test]
fn with_a_retry_no_death_at_a_boundary_costs_anything() {
    guard("boundaries", || {
        for transport in [Transport::Lanes, Transport::Channel] {
            for boundary in 1..=200 {
                assert_eq!(round(transport, 2, boundary, 1, false), 0, "boundary {boundary}");
            }
        }
    });
}

#[test]
fn a_death_at_a_boundary_costs_one_item_of_a_batch_at_most() {
    guard("boundaries", || {
        for boundary in 1..=20 {
            assert_eq!(round(Transport::Lanes, 2, boundary, 1, true), 0, "boundary {boundary}");
            let most = usize::from(boundary > 6);
            assert!(round(Transport::Lanes, 2, boundary, 0, true) <= most, "boundary {boundary}");
        }
    });
}

#[test]
fn without_retries_a_death_at_a_boundary_costs_one_task_if_it_had_been_taken_up() {
    guard("boundaries", || {
        // There is one worker, because a second one would take over tasks, and then their messages
        // would be read in vain. Three messages of two boundaries each come before the first task.
        // Each task has four boundaries: before and after it is received, before and after its
        // answer is sent. The worker takes it up after the second of these.
        for transport in [Transport::Lanes, Transport::Channel] {
            for boundary in 1..=90 {
                let is_between = boundary > 6 && (boundary - 6) % 4 == 3;
                let lost = round(transport, 1, boundary, 0, false);
                assert_eq!(lost, usize::from(is_between), "{transport:?}, boundary {boundary}");
            }
        }
    });
}

/// A task that takes so long that the thread that waits for it sleeps.
fn after_a_while(n: u32) -> u32 {
    std::thread::sleep(Duration::from_micros(500));
    n + 1
}

/// Kills a worker at that step of waking the master, while a caller sleeps, or else the receiver
/// thread.
fn wake_step(boundary: usize, waits: fn(&TaskHandle<u32>)) {
    let file = DeathFile::new();
    let pool = Pool::builder()
        .workers(2)
        .env(WAKE_STEPS.variable, file.at(boundary))
        .build()
        .expect("they live until they wake the master");
    // The loop goes on for some rounds after the death: the workers must not wait for answers that
    // the dead worker did not wake the master for.
    let (mut round, mut since) = (0, 0);
    while since < 5 {
        round += 1;
        since += u32::from(file.0.exists());
        // Two workers answer at about the same time, and one wakes the master for both.
        let handles = [round, round + 7].map(|n| pool.submit(after_a_while, n));
        handles.iter().for_each(waits);
        let results = handles.map(|handle| handle.get().expect("it was answered before the ring"));
        assert_eq!(results, [round + 1, round + 8], "boundary {boundary}");
    }
    pool.shutdown();
}

#[test]
fn a_worker_that_dies_while_it_wakes_the_master_leaves_nobody_asleep_and_costs_nothing() {
    guard("wake steps", || {
        // A worker that wakes the master passes four steps; see `MasterWaker::notify`.
        for boundary in 1..=12 {
            wake_step(boundary, TaskHandle::wait);
            wake_step(boundary, |handle| {
                while !handle.is_ready() {
                    std::thread::yield_now();
                }
            });
        }
    });
}
