//! Chaos: workers are killed at random, and still each result arrives once, with the bits that the
//! sequential pool computes.

farm_process::init_before_main!();

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::TRANSPORTS;
use farm_conformance::watchdog::guard;
use farm_core::Stats;
use farm_core::prelude::*;
use farm_process::{Pool, Transport};
use farm_shm::{ArrayRef, Band, SharedArray};
use ndarray::{Array1, Ix1};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rustix::process::{Pid, Signal, kill_process};

/// Some 50 µs of work, with a result that depends on each step.
fn work(x: u32) -> f64 {
    (0..5000).fold(f64::from(x), |y, n| (y + f64::from(n)).sin() * 1.000_1)
}

/// The pause between two signals.
const PAUSE: Duration = Duration::from_millis(5);

/// Ends [`strike`] when it is dropped, also where a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Signals a random worker that has a task about every 5 ms, until `done`; returns how often. While no
/// task is completed, the pauses grow, so that tasks can be completed on a slow machine too.
fn strike(pool: &Pool, seed: u64, done: &AtomicBool) -> u64 {
    let mut random = Pcg64::seed_from_u64(seed);
    let mut strikes = 0;
    let (mut pause, mut completed) = (PAUSE, 0);
    while !done.load(Ordering::Relaxed) {
        std::thread::sleep(pause);
        let before = std::mem::replace(&mut completed, pool.stats().completed);
        pause = if before < completed { PAUSE } else { (pause + PAUSE / 2).min(20 * PAUSE) };
        let busy: Vec<_> = pool.processes().into_iter().filter(|p| p.task.is_some()).collect();
        let Some(pick) = busy.len().checked_sub(1) else { continue };
        let victim = &busy[random.random_range(0..=pick)];
        let signal = [Signal::KILL, Signal::SEGV, Signal::STOP][random.random_range(0..3)];
        let pid = Pid::from_raw(victim.pid.cast_signed()).unwrap();
        strikes += u64::from(kill_process(pid, signal).is_ok());
    }
    strikes
}

/// Runs `body` on a pool while [`strike`] signals its workers.
fn under_chaos<T>(
    transport: Transport,
    seed: u64,
    body: impl FnOnce(&Pool) -> T,
) -> (T, u64, Stats) {
    let pool = Pool::builder()
        .workers(3)
        .transport(transport)
        .retries(1000)
        .stopped_after(Duration::from_millis(20))
        .build()
        .unwrap();
    let done = AtomicBool::new(false);
    let (result, strikes) = std::thread::scope(|scope| {
        let striker = scope.spawn(|| strike(&pool, seed, &done));
        let end = Done(&done);
        let result = body(&pool);
        drop(end);
        (result, striker.join().unwrap())
    });
    let stats = pool.stats();
    pool.shutdown();
    (result, strikes, stats)
}

#[test]
fn twenty_thousand_tasks_under_fire_give_the_bits_of_mono() {
    guard("chaos", || {
        let expected = farm_mono::Pool::new().unwrap().map(work, 0..20_000).unwrap();
        let bits = |results: &[f64]| -> Vec<u64> { results.iter().map(|x| x.to_bits()).collect() };
        for transport in TRANSPORTS {
            let begin = Instant::now();
            let map = |pool: &Pool| pool.map(work, 0..20_000);
            let (results, strikes, stats) = under_chaos(transport, 1, map);
            assert_eq!(bits(&results.unwrap()), bits(&expected));
            assert_eq!((stats.submitted, stats.completed, stats.failed), (20_000, 20_000, 0));
            assert!(stats.retried > 50, "{strikes} strikes, {stats:?}");
            eprintln!("{transport:?}: {strikes} strikes in {:.1?}: {stats:?}", begin.elapsed());
        }
    });
}

#[test]
fn arrays_under_fire_are_as_if_nothing_had_happened() {
    /// Doing this twice to the same rows would change the result.
    fn step((mut band, shift): (Band<f64, Ix1>, ArrayRef<f64, Ix1>)) -> Band<f64, Ix1> {
        let rows = band.rows();
        let shift = shift.view();
        for (x, row) in band.view_mut().iter_mut().zip(rows) {
            *x = (0..20).fold(*x, |x, _| (x + shift[row]).abs().sqrt());
        }
        band
    }
    fn steps(farm: &impl Farm) -> Vec<u64> {
        let start = Array1::from_iter((0..100_000).map(f64::from));
        let mut array = SharedArray::from_array(&start).unwrap();
        let shift = SharedArray::from_array(&start.mapv(f64::cos)).unwrap().freeze();
        for _ in 0..60 {
            let (split, bands) = array.split(distribute(100_000, 7)).unwrap();
            let bands = farm.map(step, bands.into_iter().map(|band| (band, shift.clone())));
            array = split.join(bands.unwrap()).unwrap();
        }
        array.view().iter().map(|x| x.to_bits()).collect()
    }
    guard("chaos_with_arrays", || {
        let expected = steps(&farm_mono::Pool::new().unwrap());
        for transport in TRANSPORTS {
            let (results, strikes, stats) = under_chaos(transport, 2, steps);
            assert_eq!(results, expected);
            assert!(stats.retried > 5, "{strikes} strikes, {stats:?}");
            eprintln!("{transport:?}: {strikes} strikes: {stats:?}");
        }
    });
}

#[test]
fn many_callers_under_fire_each_get_their_own() {
    guard("chaos_with_callers", || {
        fn is_right(pool: &Pool, x: u32) -> bool {
            pool.submit(work, x).get().unwrap().to_bits() == work(x).to_bits()
        }
        fn call(pool: &Pool) -> bool {
            std::thread::scope(|scope| {
                let call =
                    |caller: u32| move || (0..300).all(|n| is_right(pool, caller * 1000 + n));
                let callers: Vec<_> = (0..4).map(|caller| scope.spawn(call(caller))).collect();
                callers.into_iter().all(|caller| caller.join().unwrap())
            })
        }
        for transport in TRANSPORTS {
            let (all_right, strikes, stats) = under_chaos(transport, 3, call);
            assert!(all_right);
            assert_eq!((stats.completed, stats.failed), (1200, 0));
            assert!(strikes > 5, "{transport:?}: {strikes} strikes, {stats:?}");
        }
    });
}

#[test]
fn a_replacement_takes_the_place_of_each_dead_worker() {
    guard("replacement", || {
        let pool = common::pool(1);
        let mut times: Vec<Duration> = (0..40)
            .map(|_| {
                let worker = pool.apply(common::pid, ()).unwrap();
                common::kill(worker, Signal::KILL);
                let begin = Instant::now();
                assert_ne!(pool.apply(common::pid, ()).unwrap(), worker);
                begin.elapsed()
            })
            .collect();
        times.sort();
        eprintln!("from a death to the replacement's first result: {:.1?} (median)", times[20]);
    });
}
