//! Tests that kill a worker at every boundary between messages.
//!
//! In tests, a worker counts how often it comes to the beginning or the end of a `send` or `receive`, and
//! the first that comes to a given one kills itself there.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use rustix::process::{Signal, getpid, kill_process};

use crate::{Pool, Transport};

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
fn round(
    transport: Transport,
    workers: usize,
    boundary: usize,
    retries: u32,
    in_envelopes: bool,
) -> usize {
    let mark = Mark::new();
    let pool = Pool::builder()
        .workers(workers)
        .transport(transport)
        .retries(retries)
        .env(BOUNDARY, format!("{boundary}:{}", mark.0.display()))
        .build()
        .expect("one dies");
    let mut lost = 0;
    let outcomes: Vec<_> = if in_envelopes {
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
    assert!(mark.0.exists(), "nobody came to boundary {boundary}");
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
fn a_death_at_a_boundary_costs_one_item_of_an_envelope_at_most() {
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
        // One worker, since another would take tasks over, of which the message is then read in vain.
        // Three messages of two boundaries each come before the first task. Each task has four: before and
        // after it is received, before and after its answer is sent. It is taken up after the second.
        for transport in [Transport::Lanes, Transport::Channel] {
            for boundary in 1..=90 {
                let is_between = boundary > 6 && (boundary - 6) % 4 == 3;
                let lost = round(transport, 1, boundary, 0, false);
                assert_eq!(lost, usize::from(is_between), "{transport:?}, boundary {boundary}");
            }
        }
    });
}
