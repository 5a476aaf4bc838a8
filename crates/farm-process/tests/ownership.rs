//! Shared arrays in worker processes: which process may access which bytes, and until when.

farm_process::init_before_main!();

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{is_usable, pid, pool, process_of, state_of, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{ArrayRef, Band, SharedArray};
use ndarray::{Array1, ArrayView1, Ix1, s};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rustix::process::{Pid, Signal, kill_process};

/// How many segments of this process the process `pid` has mapped.
fn mapped(pid: i32) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.matches(&format!("/farm-{}-", std::process::id())).count()
}

fn pids(pool: &Pool) -> Vec<i32> {
    pool.processes().iter().map(|process| process.pid.cast_signed()).collect()
}

#[test]
fn a_write_through_an_array_ref_ends_that_task_alone() {
    fn scribble(array: ArrayRef<f64, Ix1>) {
        let place = array.view().as_ptr().cast_mut();
        // SAFETY: none. The test shows that the system stops this write.
        unsafe { place.write(1.0) }
    }
    guard("scribble", || {
        let pool = pool(2);
        let array = SharedArray::<f64, _>::zeros(1000).unwrap().freeze();
        let error = pool.apply(scribble, array.clone()).unwrap_err();
        let TaskError::WorkerLost { loss, .. } = error else { panic!("{error}") };
        assert_eq!(loss.signal_name().as_deref(), Some("SIGSEGV"));
        is_usable(&pool);
        assert_eq!(array.thaw().unwrap().view(), Array1::<f64>::zeros(1000));
    });
}

#[test]
fn who_goes_on_writing_is_dead_before_the_rows_are_back() {
    fn write_on(mut band: Band<u64, Ix1>) {
        let writes = std::sync::Arc::new(AtomicBool::new(false));
        let seen = writes.clone();
        std::thread::spawn(move || {
            for n in 0.. {
                band.view_mut().fill(n);
                writes.store(true, Ordering::Relaxed);
            }
        });
        while !seen.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }
    guard("write_on", || {
        let pool = pool(1);
        let mut array = SharedArray::<u64, _>::zeros(1000).unwrap();
        for _ in 0..10 {
            let worker = pool.apply(pid, ()).unwrap();
            let (split, mut bands) = array.split([0..1000]).unwrap();
            let error = pool.apply(write_on, bands.remove(0)).unwrap_err();
            let TaskError::Escaped { handles, .. } = &error else { panic!("{error}") };
            assert_eq!(handles.len(), 1);
            assert!(matches!(state_of(worker), None | Some('Z' | 'X')), "it still runs");
            let recovered = split.recover().unwrap();
            assert_eq!(recovered.torn, [0..1000]);
            array = recovered.array;
            array.view_mut().fill(u64::MAX);
            is_usable(&pool);
            assert!(array.view().iter().all(|x| *x == u64::MAX));
        }
        assert_eq!(pool.stats().workers_lost, 10);
    });
}

#[test]
fn a_reader_that_outlives_its_task_is_dead_before_the_array_is_written() {
    static KEPT: std::sync::Mutex<Vec<ArrayRef<f64, Ix1>>> = std::sync::Mutex::new(Vec::new());
    fn keep(array: ArrayRef<f64, Ix1>) -> i32 {
        KEPT.lock().unwrap().push(array);
        pid(())
    }
    fn kept(_: ()) -> usize {
        KEPT.lock().unwrap().len()
    }
    guard("keep", || {
        let pool = pool(1);
        let array = SharedArray::<f64, _>::zeros(10).unwrap().freeze();
        let retried = TaskOptions::new().retries(3);
        let error = pool.submit_with(retried, keep, array.clone()).get().unwrap_err();
        assert!(matches!(error, TaskError::Escaped { .. }), "{error}");
        assert_eq!(pool.stats().retried, 0, "it would be kept again");
        array.thaw().unwrap();
        assert_eq!(pool.apply(kept, ()).unwrap(), 0, "another process");
    });
}

#[test]
fn workers_let_go_of_what_the_master_drops() {
    fn touch((array, mut band): (ArrayRef<u8, Ix1>, Band<u8, Ix1>)) -> Band<u8, Ix1> {
        band.view_mut()[0] = array.view()[0];
        band
    }
    fn wait_for((file, _array): (std::path::PathBuf, ArrayRef<u8, Ix1>)) {
        wait_until(|| file.exists());
    }
    guard("evict", || {
        let (pool, folder) = (pool(2), common::Folder::new());
        for retries in [0, 1] {
            let read = SharedArray::<u8, _>::zeros(10_000).unwrap().freeze();
            let written = SharedArray::<u8, _>::zeros(10_000).unwrap();
            let (split, bands) = written.split([0..5000, 5000..10_000]).unwrap();
            let options = TaskOptions::new().retries(retries);
            let submit = |band| pool.submit_with(options.clone(), touch, (read.clone(), band));
            let handles: Vec<_> = bands.into_iter().map(submit).collect();
            let bands = handles.into_iter().map(|handle| handle.get().unwrap()).collect();
            let workers = pids(&pool);
            assert!(workers.iter().any(|worker| mapped(*worker) >= 2));
            drop((read, split.join(bands).unwrap()));
            wait_until(|| workers.iter().all(|worker| mapped(*worker) == 0));
        }

        // A worker that is busy unmaps arrays as soon as it can, and is told only once, however
        // many are dropped.
        let file = folder.0.join("go");
        let array = SharedArray::<u8, _>::zeros(10_000).unwrap().freeze();
        let busy = pool.submit(wait_for, (file.clone(), array.clone()));
        let worker = process_of(&pool, &busy);
        wait_until(|| mapped(worker) == 1);
        for _ in 0..1000 {
            let array = SharedArray::<u8, _>::zeros(1).unwrap().freeze();
            pool.apply(|array: ArrayRef<u8, Ix1>| array.view().len(), array).unwrap();
        }
        std::fs::write(&file, "").unwrap();
        busy.get().unwrap();
        drop(array);
        wait_until(|| pids(&pool).iter().all(|worker| mapped(*worker) == 0));
        assert_eq!(pool.stats().workers_lost, 0);
    });
}

#[test]
fn what_a_task_forks_has_none_of_its_arrays() {
    /// The signals that end children which read the first array and write to the second.
    fn fork_and_look((array, mut band): (ArrayRef<u8, Ix1>, Band<u8, Ix1>)) -> [i32; 2] {
        let ends_by = |look: &mut dyn FnMut()| {
            // SAFETY: the child only accesses memory and ends.
            match unsafe { libc::fork() } {
                0 => {
                    look();
                    // SAFETY: the call ends the process.
                    unsafe { libc::_exit(0) }
                }
                child => {
                    let mut status = 0;
                    // SAFETY: the pointer leads to a value that outlives the call.
                    unsafe { libc::waitpid(child, &mut status, 0) };
                    libc::WTERMSIG(status)
                }
            }
        };
        let mut sum = 0;
        let read = ends_by(&mut || sum += std::hint::black_box(array.view()[0]));
        let write = ends_by(&mut || band.view_mut()[0] = 1);
        [read, write]
    }
    guard("fork_and_look", || {
        let pool = pool(1);
        let array = SharedArray::<u8, _>::zeros(10).unwrap().freeze();
        let (split, mut bands) = SharedArray::<u8, _>::zeros(10).unwrap().split([0..10]).unwrap();
        let signals = pool.apply(fork_and_look, (array, bands.remove(0))).unwrap();
        assert_eq!(signals, [libc::SIGSEGV; 2]);
        assert_eq!(split.recover().unwrap().array.view()[0], 0);
    });
}

#[test]
fn what_a_task_has_made_for_itself_goes_with_its_worker() {
    static MADE: std::sync::Mutex<Option<SharedArray<u8, Ix1>>> = std::sync::Mutex::new(None);
    fn make(_: ()) -> std::path::PathBuf {
        let array = SharedArray::<u8, _>::zeros(10).unwrap();
        let path = array.describe().path;
        *MADE.lock().unwrap() = Some(array);
        path
    }
    guard("made", || {
        let pool = pool(1);
        let worker = pool.apply(pid, ()).unwrap();
        let path = pool.apply(make, ()).unwrap();
        assert!(path.exists());
        common::kill(worker, Signal::KILL);
        wait_until(|| !path.exists());
        let path = pool.apply(make, ()).unwrap();
        pool.shutdown();
        assert!(!path.exists());
    });
}

const MANY: usize = 1_000_000;
const BANDS: usize = 4;

fn number(i: usize) -> f64 {
    (i as f64 + 0.5).powi(2)
}

/// A task with another result if it is run twice on the same rows.
fn square_roots(mut band: Band<f64, Ix1>) -> Band<f64, Ix1> {
    band.view_mut().mapv_inplace(f64::sqrt);
    band
}

/// Whether rows have exactly the expected bits.
fn are(rows: ArrayView1<f64>, expected: ArrayView1<f64>) -> bool {
    rows.iter().zip(expected).all(|(x, y)| x.to_bits() == y.to_bits())
}

/// Kills one of the busy workers at a random moment of each of 500 rounds or more. With retries,
/// the results are the same as without kills. Without retries, the rows that cannot be trusted are
/// reported, and all others are right.
fn square_roots_under_fire(retries: u32) {
    let options = TaskOptions::new().retries(retries);
    let pool = pool(2);
    let before = Array1::from_shape_fn(MANY, number);
    let after = before.mapv(f64::sqrt);
    let mut array = SharedArray::<f64, _>::zeros(MANY).unwrap();
    let mut random = Pcg64::seed_from_u64(u64::from(retries));
    let (mut usual, mut hits) = (Duration::from_millis(10), 0);
    let mut round = 0;
    // On a busy machine, most kills come too late or too early to hit a task.
    while round < 500 || hits + pool.stats().retried < 25 {
        array.view_mut().assign(&before);
        let (split, bands) = array.split(distribute(MANY, BANDS)).unwrap();
        let rows: Vec<_> = bands.iter().map(Band::rows).collect();
        let begin = Instant::now();
        let handles: Vec<_> = bands
            .into_iter()
            .map(|band| pool.submit_with(options.clone(), square_roots, band))
            .collect();
        // The first rounds show how long a round takes.
        if round >= 5 {
            let moment = usual.mul_f64(random.random_range(0.0..1.0));
            std::thread::sleep(moment);
            let mut busy = pool.processes();
            busy.retain(|process| process.task.is_some());
            if !busy.is_empty() {
                let victim = busy[random.random_range(0..busy.len())].pid.cast_signed();
                let _ = kill_process(Pid::from_raw(victim).unwrap(), Signal::KILL);
            }
        }
        let outcomes: Vec<_> = handles.into_iter().map(TaskHandle::get).collect();
        if round < 5 {
            usual = begin.elapsed();
        }
        if outcomes.iter().all(Result::is_ok) {
            array = split.join(outcomes.into_iter().flatten().collect()).unwrap();
            assert!(are(array.view(), after.view()), "round {round}");
        } else {
            assert_eq!(retries, 0, "round {round}: {outcomes:?}");
            hits += 1;
            let lost = |outcome: &Result<_, TaskError>| {
                matches!(outcome, Err(TaskError::WorkerLost { .. }))
            };
            assert!(outcomes.iter().all(|outcome| outcome.is_ok() || lost(outcome)));
            let failed = rows.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_err());
            let failed: Vec<_> = failed.map(|(rows, _)| rows.clone()).collect();
            drop(outcomes);
            let recovered = split.recover().unwrap();
            assert_eq!(recovered.torn, failed, "round {round}");
            array = recovered.array;
            for rows in rows.iter().filter(|rows| !failed.contains(rows)) {
                let part = s![rows.clone()];
                assert!(are(array.view().slice(part), after.slice(part)), "round {round}");
            }
        }
        wait_until(|| pool.processes().len() == 2);
        round += 1;
    }
    let stats = pool.stats();
    eprintln!("{} of {round} kills hit a band; {stats:?}", hits + stats.retried);
}

#[test]
fn square_roots_in_place_are_exact_whenever_workers_are_killed() {
    guard("exact", || square_roots_under_fire(9));
}

#[test]
fn without_retries_what_a_kill_has_torn_is_told_and_all_else_is_right() {
    guard("torn", || square_roots_under_fire(0));
}
