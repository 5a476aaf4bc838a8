//! The options of a user: retries, time limits, cancelling, recycling, memory limits, an
//! initializer.

farm_process::init_before_main!();

mod common;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{
    Folder, builder_by, by_each, is_usable, kill, pid, pool_by, process_of, square, state_of, stay,
    take_number, wait_for_end_of, wait_until,
};
use farm_core::prelude::*;
use farm_process::Builder;
use farm_shm::{ArrayRef, Band, SharedArray};
use ndarray::{Array1, Ix1};
use rustix::process::Signal;

/// A task that kills its worker until it has been started often enough.
fn survive_at((folder, attempt): (PathBuf, usize)) -> usize {
    let n = take_number(&folder);
    if n < attempt {
        std::process::abort();
    }
    n
}

#[test]
fn a_poison_task_costs_one_worker_for_each_attempt_and_nothing_else() {
    by_each("poison", |transport| {
        for retries in [0, 1, 4] {
            let (pool, folder) =
                (builder_by(transport, 2).retries(retries).build().unwrap(), Folder::new());
            let poison = pool.submit(survive_at, (folder.0.clone(), usize::MAX));
            is_usable(&pool);
            let error = poison.get().unwrap_err();
            let attempts = retries + 1;
            assert!(
                matches!(error, TaskError::WorkerLost { attempts: n, .. } if n == attempts),
                "{error}"
            );
            assert_eq!(folder.files().len(), attempts as usize);
            let stats = pool.stats();
            assert_eq!(stats.workers_lost, u64::from(attempts));
            assert_eq!(stats.retried, u64::from(retries));
            assert_eq!((stats.failed, stats.completed), (1, 20));
        }
    });
}

#[test]
fn a_retry_succeeds_where_the_worker_lives() {
    by_each("retry", |transport| {
        let (pool, folder) = (builder_by(transport, 1).build().unwrap(), Folder::new());
        let options = TaskOptions::new().retries(3);
        let handle = pool.submit_with(options, survive_at, (folder.0.clone(), 2));
        assert_eq!(handle.get().unwrap(), 2);
        assert_eq!((pool.stats().workers_lost, pool.stats().retried), (2, 2));
    });
}

#[test]
fn a_panic_is_retried_only_on_request_and_costs_no_worker() {
    fn panic_at_first(folder: PathBuf) -> usize {
        let n = take_number(&folder);
        assert!(n > 1, "attempt {n}");
        n
    }
    by_each("panics", |transport| {
        let (pool, folder) = (builder_by(transport, 1).retries(5).build().unwrap(), Folder::new());
        let error = pool.apply(panic_at_first, folder.0.clone()).unwrap_err();
        assert!(matches!(error, TaskError::Panicked { .. }), "{error}");
        let options = TaskOptions::new().retry_panics(true);
        assert_eq!(pool.submit_with(options, panic_at_first, folder.0.clone()).get().unwrap(), 2);
        assert_eq!((pool.stats().workers_lost, pool.stats().retried), (0, 1));
    });
}

#[test]
fn a_retry_finds_the_rows_of_its_band_as_they_were() {
    /// Takes the root of each number, and dies half-way in the first attempts.
    fn roots((mut band, folder): (Band<f64, Ix1>, PathBuf)) -> Band<f64, Ix1> {
        let n = take_number(&folder);
        let half = band.view().len() / 2;
        for (i, x) in band.view_mut().iter_mut().enumerate() {
            *x = x.sqrt();
            if i == half && n < 2 {
                std::process::abort();
            }
            assert!(i != half || n != 2, "and panics once");
        }
        band
    }
    by_each("rows", |transport| {
        for retries in [5, 1] {
            let pool =
                builder_by(transport, 2).retries(retries).retry_panics(true).build().unwrap();
            let folders = [Folder::new(), Folder::new()];
            let array =
                SharedArray::from_array(&Array1::from_iter((0..1000).map(f64::from))).unwrap();
            let (split, bands) = array.split([0..500, 500..1000]).unwrap();
            let items = bands.into_iter().zip(folders.iter().map(|folder| folder.0.clone()));
            let outcome = pool.map(roots, items);
            if retries == 5 {
                let array = split.join(outcome.unwrap()).unwrap();
                assert!(array.view().iter().enumerate().all(|(i, x)| *x == (i as f64).sqrt()));
            } else {
                assert!(outcome.is_err());
                let recovered = split.recover().unwrap();
                assert_eq!(recovered.torn, [], "the rows are known");
                assert!(recovered.array.view().iter().enumerate().all(|(i, x)| *x == i as f64));
            }
        }
    });
}

#[test]
fn rows_of_a_task_that_has_no_pool_any_more_are_not_taken_for_good() {
    /// The first worker comes up, the others do not.
    fn come_up_once(folder: PathBuf) {
        assert!(take_number(&folder) == 0, "not again");
    }
    fn write_and_die(mut band: Band<u8, Ix1>) -> Band<u8, Ix1> {
        band.view_mut()[0] = 7;
        std::process::abort()
    }
    by_each("no_pool", |transport| {
        for retries in [0, 3] {
            let folder = Folder::new();
            let pool = builder_by(transport, 1)
                .retries(retries)
                .initializer(come_up_once, folder.0.clone());
            let pool = pool.build().unwrap();
            let (split, bands) = SharedArray::<u8, _>::zeros(4).unwrap().split([0..4]).unwrap();
            let error = pool.map(write_and_die, bands).unwrap_err();
            let recovered = split.recover().unwrap();
            if retries == 0 {
                assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}");
                assert_eq!(recovered.torn, [0..4]);
            } else {
                assert!(matches!(error, TaskError::NoWorkers { .. }), "{error}");
                assert_eq!(
                    (recovered.torn, recovered.array.view()[0]),
                    (vec![], 0),
                    "as they were"
                );
            }
        }
    });
}

/// A task that ignores a signal that can be ignored, and never ends.
fn be_stubborn(_: ()) {
    // SAFETY: ignoring a signal has no conditions.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    stay(());
}

#[test]
fn a_task_that_runs_over_its_time_is_stopped_and_nothing_else_is() {
    by_each("timeouts", |transport| {
        let limit = Duration::from_millis(50);
        let pool = builder_by(transport, 2).timeout(limit).build().unwrap();
        let stubborn: Vec<_> = (0..3).map(|_| pool.submit(be_stubborn, ())).collect();
        let squares = pool.map(square, 0..100).unwrap();
        assert!(squares.into_iter().eq((0..100).map(square)));
        for handle in stubborn {
            let error = handle.get().unwrap_err();
            assert!(
                matches!(error, TaskError::TimedOut { limit: l, attempts: 1, .. } if l == limit),
                "{error}"
            );
            assert!(error.to_string().contains("50ms"), "{error}");
        }
        assert_eq!(pool.stats().workers_lost, 3);
        is_usable(&pool);
    });
}

#[test]
fn a_timeout_is_retried_only_on_request() {
    fn stay_at_first(folder: PathBuf) -> usize {
        let n = take_number(&folder);
        if n < 2 {
            stay(());
        }
        n
    }
    by_each("timeout_retries", |transport| {
        let (pool, folder) = (builder_by(transport, 1).retries(5).build().unwrap(), Folder::new());
        let options = TaskOptions::new().timeout(Duration::from_millis(30)).retry_timeouts(true);
        let handle = pool.submit_with(options, stay_at_first, folder.0.clone());
        assert_eq!(handle.get().unwrap(), 2);
        // The limit would have been reached by now if it counted for all attempts together.
        let options = TaskOptions::new().timeout(Duration::from_secs(60));
        assert_eq!(pool.submit_with(options, square, 3).get().unwrap(), 9);
        assert_eq!((pool.stats().workers_lost, pool.stats().retried), (2, 2));
    });
}

#[test]
fn a_running_task_can_be_cancelled_and_so_can_one_that_waits() {
    by_each("cancel", |transport| {
        let pool = builder_by(transport, 2).retries(3).build().unwrap();
        let running: Vec<_> = (0..2).map(|_| pool.submit(be_stubborn, ())).collect();
        let waiting: Vec<_> = (0..10).map(|x| pool.submit(square, x)).collect();
        let processes: Vec<_> = running.iter().map(|handle| process_of(&pool, handle)).collect();
        assert!(waiting.iter().step_by(2).all(TaskHandle::cancel));
        assert!(running.iter().all(TaskHandle::cancel));
        for handle in running {
            let error = handle.get().unwrap_err();
            assert!(matches!(error, TaskError::Cancelled { .. }), "{error}");
        }
        for (x, handle) in (0..).zip(waiting) {
            match handle.get() {
                Ok(y) => assert!(x % 2 == 1 && y == x * x),
                Err(error) => {
                    assert!(x % 2 == 0 && matches!(error, TaskError::Cancelled { .. }), "{error}");
                }
            }
        }
        processes.into_iter().for_each(wait_for_end_of);
        is_usable(&pool);
        let stats = pool.stats();
        assert_eq!((stats.cancelled, stats.failed, stats.retried), (7, 0, 0));
    });
}

#[test]
fn workers_are_replaced_after_their_number_of_tasks_which_is_no_loss() {
    by_each("recycling", |transport| {
        let pool = builder_by(transport, 1).max_tasks_per_worker(2).build().unwrap();
        let mut pids = pool.map(pid, [(); 10]).unwrap();
        pids.dedup();
        assert_eq!(pids.len(), 5, "{pids:?}");
        assert_eq!((pool.stats().workers_retired, pool.stats().workers_lost), (5, 0));
        for n in 0..40 {
            let pool = builder_by(transport, 2).max_tasks_per_worker(1).build().unwrap();
            let handles: Vec<_> = (0..n % 7).map(|x| pool.submit(square, x)).collect();
            // Some workers are ending at this moment, and some are coming up.
            if n % 2 == 0 {
                pool.shutdown()
            } else {
                drop(pool)
            }
            assert!(handles.iter().all(TaskHandle::is_ready));
        }
    });
}

#[test]
fn a_worker_cannot_have_more_memory_than_its_limit_but_arrays_do_not_count() {
    fn allocate(mib: usize) -> usize {
        std::hint::black_box(vec![1_u8; mib << 20]).len()
    }
    fn last((array, mib): (ArrayRef<u8, Ix1>, usize)) -> usize {
        usize::from(array.view()[array.view().len() - 1]) + allocate(mib)
    }
    by_each("memory_limit", |transport| {
        let pool = builder_by(transport, 1).memory_limit(256 << 20).build().unwrap();
        let error = pool.apply(allocate, 1024).unwrap_err();
        let text = error.to_string();
        let TaskError::WorkerLost { loss, .. } = error else { panic!("{text}") };
        assert_eq!(loss.signal_name().as_deref(), Some("SIGABRT"));
        assert!(loss.last_output.contains("memory allocation of"), "{text}");
        assert!(text.contains("limit") && text.contains("256 MiB"), "{text}");
        let array = SharedArray::<u8, _>::zeros(400 << 20).unwrap().freeze();
        assert_eq!(pool.apply(last, (array, 64)).unwrap(), 64 << 20);
    });
}

#[test]
fn an_initializer_runs_once_in_each_worker_before_its_tasks() {
    static LOADED: OnceLock<(u64, i32)> = OnceLock::new();
    fn load((folder, value): (PathBuf, u64)) {
        take_number(&folder);
        LOADED.set((value, pid(()))).expect("once");
    }
    fn loaded(_: ()) -> bool {
        LOADED.get() == Some(&(7, pid(())))
    }
    by_each("initializer", |transport| {
        let folder = Folder::new();
        let pool = builder_by(transport, 2).max_tasks_per_worker(5);
        let pool = pool.initializer(load, (folder.0.clone(), 7)).build().unwrap();
        assert!(pool.map(loaded, [(); 50]).unwrap().into_iter().all(|is_so| is_so));
        pool.shutdown();
        assert!(folder.files().len() >= 10, "each replacement has one too");
    });
}

/// A value of no size that exists only if its process is set up.
#[derive(Clone, Copy)]
struct Ready(());

static IS_READY: AtomicBool = AtomicBool::new(false);

impl Ready {
    fn set_up() -> Self {
        IS_READY.store(true, Ordering::SeqCst);
        Self(())
    }

    fn holds(self) -> bool {
        IS_READY.load(Ordering::SeqCst)
    }
}

#[test]
fn a_captured_witness_holds_in_workers_that_an_initializer_has_set_up() {
    fn set_up(_: ()) {
        Ready::set_up();
    }
    by_each("a_captured_witness_holds_in_workers_that_an_initializer_has_set_up", |transport| {
        let ready = Ready::set_up();
        let pool = builder_by(transport, 1).initializer(set_up, ()).build().unwrap();
        assert!(ready.holds() && pool.apply(move |_: ()| ready.holds(), ()).unwrap());
        // Nothing of this value is sent. Without an initializer, it does not show that a worker is
        // set up, as `TaskFn` documents.
        let pool = pool_by(transport, 1);
        assert!(!pool.apply(move |_: ()| ready.holds(), ()).unwrap());
    });
}

#[test]
fn an_initializer_that_fails_or_dies_is_one_clear_error_after_a_few_attempts() {
    fn note(folder: &std::path::Path) {
        std::fs::write(folder.join(pid(()).to_string()), "").unwrap();
    }
    fn fail(folder: PathBuf) {
        note(&folder);
        panic!("no such table");
    }
    fn die(folder: PathBuf) {
        note(&folder);
        eprintln!("cannot load the library");
        std::process::abort();
    }
    fn stay_away(folder: PathBuf) {
        note(&folder);
        stay(());
    }
    fn leave(folder: PathBuf) {
        note(&folder);
        std::process::exit(0);
    }
    by_each("bad_initializers", |transport| {
        let limit = Duration::from_millis(100);
        type Initialised = fn(Builder, PathBuf) -> Builder;
        let bad: [(Initialised, &str); 4] = [
            (|pool, folder| pool.initializer(fail, folder), "no such table"),
            (|pool, folder| pool.initializer(die, folder), "cannot load the library"),
            (|pool, folder| pool.initializer(stay_away, folder), "took longer than 100ms"),
            (|pool, folder| pool.initializer(leave, folder), "exited with code 0"),
        ];
        for (initializer, reason) in bad {
            let folder = Folder::new();
            let mut pool = builder_by(transport, 2);
            if reason.contains("longer") {
                pool = pool.start_timeout(limit);
            }
            let error = initializer(pool, folder.0.clone()).build().unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, FarmError::Start { .. }), "{text}");
            assert!(text.contains(reason) && !text.contains('\n'), "{text}");
            assert!(!text.contains("init()"), "{text}");
            let attempts = folder.files();
            assert!((3..10).contains(&attempts.len()), "{attempts:?}");
            for pid in attempts {
                assert_eq!(state_of(pid.parse().unwrap()), None, "it is left, if as a zombie");
            }
        }
    });
}

#[test]
fn an_initializer_that_cannot_be_sent_is_told_before_a_worker_is_started() {
    fn take(_: ArrayRef<u8, Ix1>) {}
    let array = SharedArray::<u8, _>::zeros(4).unwrap().freeze();
    let error = farm_process::Pool::builder().initializer(take, array).build().unwrap_err();
    assert!(
        matches!(&error, FarmError::Initializer { reason } if reason.contains("take")),
        "{error}"
    );
}

#[test]
fn a_pool_whose_last_worker_does_not_come_up_works_with_the_others_and_leaves_none() {
    fn fail_from_the_fourth_on(folder: PathBuf) {
        assert!(take_number(&folder) < 3, "three are enough");
    }
    by_each("the_fourth", |transport| {
        let folder = Folder::new();
        let pool = builder_by(transport, 4).initializer(fail_from_the_fourth_on, folder.0.clone());
        let pool = pool.build().unwrap();
        wait_until(|| pool.processes().len() == 3 && folder.files().len() > 4);
        is_usable(&pool);
        let pids: Vec<_> = pool.processes().iter().map(|process| process.pid).collect();
        drop(pool);
        assert!(pids.into_iter().all(|pid| state_of(pid.cast_signed()).is_none()));
    });
}

#[test]
fn submit_waits_for_room_where_the_queue_is_bounded() {
    by_each("max_queued", |transport| {
        let pool = builder_by(transport, 1).max_queued(3).build().unwrap();
        let running = pool.submit(stay, ());
        process_of(&pool, &running);
        let waiting: Vec<_> = (0..3).map(|x| pool.submit(square, x)).collect();
        std::thread::scope(|scope| {
            let fourth = scope.spawn(|| pool.submit(square, 3));
            (0..1000).for_each(|_| std::thread::yield_now());
            assert!(!fourth.is_finished(), "there is no room");
            assert!(waiting[1].cancel());
            let fourth = fourth.join().unwrap();
            assert!(running.cancel());
            assert_eq!(fourth.get().unwrap(), 9);
        });
        // The death of a worker makes room, too.
        let running = pool.submit(|()| kill(pid(()), Signal::KILL), ());
        let waiting: Vec<_> = (0..20).map(|x| pool.submit(square, x)).collect();
        assert!(running.get().is_err() && waiting.into_iter().all(|handle| handle.get().is_ok()));
    });
}

#[test]
fn a_map_takes_no_more_bytes_ahead_than_are_documented() {
    fn length(bytes: Vec<u8>) -> usize {
        bytes.len()
    }
    by_each("bytes_ahead", |transport| {
        use std::cell::Cell;
        let pool = pool_by(transport, 2);
        let taken = Cell::new(0_usize);
        let items = (0..40).map(|_| {
            taken.set(taken.get() + 1);
            vec![0_u8; 16 << 20]
        });
        for (done, length) in pool.imap(length, items).enumerate() {
            assert_eq!(length.unwrap(), 16 << 20);
            assert!(taken.get() - done <= 5, "{} of 16 MiB ahead", taken.get() - done);
        }
    });
}
