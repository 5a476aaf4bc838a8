//! Tests that kill a worker at every boundary between messages.
//!
//! In tests, a worker counts how often it comes to the beginning or the end of a `send` or `receive`, and
//! the first that comes to a given one kills itself there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use rustix::process::{Signal, getpid, kill_process};

use crate::Pool;

crate::init_before_main!();

/// Which boundary, and a file that does not exist until a worker has died there.
const BOUNDARY: &str = "FARM_TEST_BOUNDARY";

pub(crate) fn pass() {
    static PASSED: AtomicUsize = AtomicUsize::new(0);
    let Ok(boundary) = std::env::var(BOUNDARY) else { return };
    let (at, file) = boundary.split_once(':').expect("a number and a path");
    let is_here = PASSED.fetch_add(1, Ordering::Relaxed) + 1 == at.parse().expect("a number");
    if is_here && std::fs::File::create_new(file).is_ok() {
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// The file of one round, removed in the end.
struct Mark(PathBuf);

impl Mark {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("boundary-{}-{n}", std::process::id())))
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Bytes that go through the socket and, the longer half, through blocks beside it.
fn reversed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reverse();
    bytes
}

fn items() -> impl Iterator<Item = Vec<u8>> {
    (0..120_u8).map(|n| (0..1000 + 300 * usize::from(n)).map(|i| i as u8 ^ n).collect())
}

/// Kills a worker at that boundary of its life, and maps meanwhile; returns how many tasks were lost.
fn round(boundary: usize, retries: u32) -> usize {
    let mark = Mark::new();
    let pool = Pool::builder()
        .workers(2)
        .retries(retries)
        .env(BOUNDARY, format!("{boundary}:{}", mark.0.display()))
        .build()
        .expect("one dies");
    let mut lost = 0;
    for (outcome, item) in pool.map_each(reversed, items()).into_iter().zip(items()) {
        match outcome {
            Ok(result) => assert!(result == reversed(item), "boundary {boundary}"),
            Err(TaskError::WorkerLost { .. }) => lost += 1,
            Err(error) => panic!("boundary {boundary}: {error}"),
        }
    }
    assert!(mark.0.exists(), "nobody came to boundary {boundary}");
    pool.shutdown();
    lost
}

#[test]
fn with_a_retry_no_death_at_a_boundary_costs_anything() {
    guard("boundaries", || {
        for boundary in 1..=200 {
            assert_eq!(round(boundary, 1), 0, "boundary {boundary}");
        }
    });
}

#[test]
fn without_retries_a_death_at_a_boundary_costs_one_task_if_it_had_been_taken_up() {
    guard("boundaries", || {
        // Three messages of two boundaries each come before the first task. Each task has four: before and
        // after it is received, before and after its answer is sent. It is taken up after the second.
        for boundary in 1..=90 {
            let is_between = boundary > 6 && (boundary - 6) % 4 == 3;
            assert_eq!(round(boundary, 0), usize::from(is_between), "boundary {boundary}");
        }
    });
}
