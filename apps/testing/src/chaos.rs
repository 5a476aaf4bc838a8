//! Runs whose workers are killed.

use std::thread;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::seq::IndexedRandom as _;
use rand_pcg::Pcg64;
use rustix::fd::OwnedFd;
use rustix::process::{Signal, pidfd_send_signal};
use serde::Deserialize;

use crate::left;
use crate::running::LIMIT;
use crate::workplace::Workplace;

const POOL: &str = "--backend process --workers 2 --retries 1000";
const SIGNALS: [Signal; 3] = [Signal::KILL, Signal::SEGV, Signal::TERM];

/// The pause between two kills, at first. It grows as kills go on, so that a slow machine also gets
/// through its tasks in between.
const PAUSE: Duration = Duration::from_millis(20);

/// After so many kills, the pause is twice as long as at first, then three times, and so on.
const KILLS: u32 = 50;
const SEED: u64 = 1;

/// The keys of the JSON object that these tests use.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) checksum: String,
    pub(crate) workers_lost: u64,
    pub(crate) retries: u64,
}

/// Kills a worker every few milliseconds, by different signals, until the program ends, and checks
/// that its result is that of an undisturbed run.
pub fn kills_change_nothing(program: &str, run: &str) {
    let place = Workplace::new(program);
    let undisturbed: Report = place.report(&format!("{run} --backend mono"));
    let mut running = place.start(&format!("{run} {POOL} --json"));
    let started = Instant::now();
    let mut random = Pcg64::seed_from_u64(SEED);
    let mut kills = 0_u32;
    while !running.has_ended() {
        assert!(started.elapsed() < LIMIT, "it does not end, after {kills} kills");
        // The pool would give up if no worker ever came to a task, so a kill waits until one has.
        if !running.at_work().is_empty()
            && let Some(signal) = SIGNALS.choose(&mut random)
            && let Some(worker) = running.workers().choose(&mut random)
            && let Some(process) = left::end_of(*worker)
        {
            kill(&process, *signal);
            kills += 1;
        }
        thread::sleep(PAUSE * (1 + kills / KILLS));
    }
    let kills = u64::from(kills);
    let Report { checksum, workers_lost, retries } = place.reported(running);
    assert_eq!(checksum, undisturbed.checksum, "after {kills} kills");
    assert!(kills >= 20, "{kills} kills are not many");
    // Workers that are killed while they start are not counted as lost.
    assert!(0 < workers_lost && workers_lost <= kills, "{workers_lost} of {kills}");
    assert!(retries <= workers_lost, "{retries} of {workers_lost}");
}

/// Checks that the summary reports a lost worker.
pub fn a_loss_is_in_the_summary(program: &str, run: &str) {
    let place = Workplace::new(program);
    let mut running = place.start(&format!("{run} {POOL}"));
    running.wait_until_under_way(2);
    let worker = running.workers().into_iter().find_map(left::end_of).expect("two workers");
    kill(&worker, Signal::KILL);
    let ended = place.end(running);
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
    let pool = "\npool:           process, 2 workers\nlost:           1 worker; ";
    assert!(ended.out.contains(pool), "{}", ended.out);
}

/// Sends a signal until the process ends. One may not suffice: the first SIGSEGV that another
/// process sends does not end a Rust program, because no access of its own was wrong.
fn kill(process: &OwnedFd, signal: Signal) {
    let started = Instant::now();
    // The process may have ended already.
    while pidfd_send_signal(process, signal).is_ok() && !left::ends_within(process, PAUSE) {
        assert!(started.elapsed() < LIMIT, "a worker does not end by {signal:?}");
    }
}
