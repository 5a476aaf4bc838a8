//! Properties that only worker processes have: they die, and the pool lives on.

farm_process::init_before_main!();

mod common;

use std::io::Read;
use std::pin::Pin;
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use common::{Folder, kill, part, pid, play, pool, wait_for_end_of, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{Band, SharedArray};
use ndarray::Ix1;
use rustix::process::{Pid, Signal};
use rustix::thread::{CpuSet, sched_getaffinity};

#[test]
fn a_worker_that_is_killed_while_it_is_idle_is_replaced_and_costs_nothing() {
    guard("an_idle_worker", || {
        let pool = pool(1);
        for n in 1..50 {
            let worker = pool.apply(pid, ()).unwrap();
            kill(worker, Signal::KILL);
            if n % 2 == 0 {
                wait_for_end_of(worker);
            }
            // A task that is on its way to the dying worker is not charged with the death either.
            assert_ne!(pool.apply(pid, ()).unwrap(), worker);
            assert_eq!((pool.stats().workers_lost, pool.stats().retried), (n, 0));
        }
    });
}

#[test]
fn a_lost_worker_leaves_the_array_and_names_the_rows_not_to_be_trusted() {
    fn die_in_the_third(mut band: Band<f64, Ix1>) -> Band<f64, Ix1> {
        band.view_mut()[0] = 1.0;
        if band.rows().start == 4 {
            std::process::abort();
        }
        band
    }
    guard("a_lost_band", || {
        let pool = pool(2);
        let array = SharedArray::<f64, _>::zeros(6).unwrap();
        let (split, bands) = array.split([0..2, 2..4, 4..6]).unwrap();
        assert!(pool.map(die_in_the_third, bands).is_err());
        let recovered = split.recover().unwrap();
        assert_eq!(recovered.torn, [4..6]);
        assert_eq!(recovered.array.view()[0], 1.0);
    });
}

#[test]
fn the_end_of_the_pool_is_the_end_of_its_workers() {
    guard("the_end", || {
        let ends: [fn(Pool); 3] = [drop, Farm::shutdown, Farm::terminate];
        for end in ends {
            let pool = pool(2);
            let workers: Vec<_> = pool.map(pid, [(); 20]).unwrap();
            end(pool);
            for worker in workers {
                let process = format!("/proc/{worker}");
                assert!(
                    !std::path::Path::new(&process).exists(),
                    "{worker} is left, if only as a zombie"
                );
            }
        }
    });
}

#[test]
fn a_pool_inside_a_worker_is_refused_with_the_alternatives() {
    fn nested(_: ()) -> String {
        // Another thread of the worker is refused a pool, too.
        let elsewhere = std::thread::spawn(|| Pool::new().unwrap_err().to_string());
        let here = Pool::new().unwrap_err().to_string();
        assert_eq!(elsewhere.join().unwrap(), here);
        here
    }
    guard("nested", || {
        let text = pool(1).apply(nested, ()).unwrap();
        assert!(text.contains("inside a task") && text.contains("rayon"), "{text}");
    });
}

#[test]
fn numbers_of_workers_that_no_pool_can_have_are_refused() {
    for workers in [0, 1_000_000, usize::MAX] {
        let error = Pool::builder().workers(workers).build().unwrap_err();
        assert!(matches!(error, FarmError::Workers { asked, .. } if asked == workers), "{error}");
    }
}

#[test]
fn workers_that_do_not_come_up_are_one_clear_error() {
    guard("no_start", || {
        // No worker comes up in no time; each attempt is killed.
        let error = Pool::builder()
            .workers(2)
            .start_timeout(std::time::Duration::ZERO)
            .build()
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, FarmError::Start { .. }), "{text}");
        assert!(text.contains("did not come up"), "{text}");
    });
}

#[test]
fn workers_have_one_thread_for_numerical_libraries_unless_told_otherwise() {
    fn variable(name: String) -> Option<String> {
        std::env::var(name).ok()
    }
    guard("environment", || {
        let pool = Pool::builder().workers(1).env("OMP_NUM_THREADS", "3").env("MINE", "x").build();
        let names = ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MINE"];
        let values = pool.unwrap().map(variable, names.map(str::to_owned)).unwrap();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        assert_eq!(values, [Some("3"), Some("1"), Some("x")]);
    });
}

#[test]
fn pinned_workers_are_on_cores_of_their_own_also_after_a_death() {
    /// The cores that a process may use.
    fn cores(process: Option<Pid>) -> Vec<usize> {
        let set = sched_getaffinity(process).unwrap();
        (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect()
    }
    guard("pinned", || {
        let ours = cores(None);
        // There is one worker more than there are cores, so two have to share.
        let workers = ours.len() + 1;
        let pool = Pool::builder().workers(workers).pinned(true).build().unwrap();
        let spread = || {
            wait_until(|| pool.processes().len() == workers);
            let pids =
                pool.processes().into_iter().map(|process| Pid::from_raw(process.pid as i32));
            let mut spread: Vec<_> = pids.flat_map(cores).collect();
            spread.sort_unstable();
            assert_eq!(spread.len(), workers);
            spread.dedup();
            assert_eq!(spread, ours);
        };
        spread();
        for process in pool.processes() {
            kill(process.pid as i32, Signal::KILL);
            wait_for_end_of(process.pid as i32);
            wait_until(|| !pool.processes().contains(&process));
            spread();
        }
        assert_eq!(cores(None), ours);
    });
}

#[test]
fn a_program_that_a_task_starts_is_not_taken_for_a_worker() {
    fn start_this_program_again(_: ()) -> String {
        let mut again = Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", "no_such_test"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
    guard("again", || {
        let text = pool(1).apply(start_this_program_again, ()).unwrap();
        assert!(text.contains("running 0 tests"), "{text}");
    });
}

#[test]
fn a_worker_leads_a_process_group_of_its_own_and_has_no_input() {
    fn look(_: ()) -> (bool, usize) {
        let leads = rustix::process::getpgrp() == rustix::process::getpid();
        let mut input = String::new();
        (leads, std::io::stdin().read_to_string(&mut input).unwrap())
    }
    guard("look", || assert_eq!(pool(1).apply(look, ()).unwrap(), (true, 0)));
}

#[test]
fn a_waker_that_panics_or_drops_the_pool_harms_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a bad waker"));
        }
    }
    struct DropsThePool(Mutex<Option<Arc<Pool>>>, mpsc::Sender<()>);
    impl Wake for DropsThePool {
        fn wake(self: Arc<Self>) {
            drop(self.0.lock().unwrap().take());
            let _ = self.1.send(());
        }
    }
    fn wait_for_line(path: String) -> usize {
        std::fs::read_to_string(path).unwrap().len()
    }
    guard("wakers", || {
        let pool = Arc::new(pool(1));
        // The task ends when this test writes to the named pipe.
        let folder = Folder::new();
        let pipe = folder.0.join("pipe");
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .unwrap();
        let path = pipe.to_str().unwrap().to_owned();
        let (dropped, is_dropped) = mpsc::channel();
        let last = Arc::new(DropsThePool(Mutex::new(None), dropped));
        let wakers: [Waker; 2] = [Arc::new(Panics).into(), last.clone().into()];
        let mut last_handle = None;
        for waker in wakers {
            let mut handle = Box::pin(pool.submit(wait_for_line, path.clone()));
            assert!(handle.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            if last_handle.is_none() {
                std::fs::write(&pipe, "line").unwrap();
                handle.wait();
                last_handle = Some(handle);
            } else {
                *last.0.lock().unwrap() = Some(pool.clone());
                last_handle = Some(handle);
            }
        }
        drop(pool);
        std::fs::write(&pipe, "line").unwrap();
        is_dropped.recv().unwrap();
        let handle = Pin::into_inner(last_handle.unwrap());
        assert_eq!(handle.get().unwrap(), 4);
    });
}

#[test]
fn outcomes_of_a_terminated_pool_come_after_the_end_of_its_workers() {
    fn write_without_end(mut band: Band<u64, Ix1>) {
        loop {
            band.view_mut()[0] += 1;
        }
    }
    guard("terminated_writer", || {
        for _ in 0..10 {
            let pool = pool(2);
            let array = SharedArray::<u64, _>::zeros(1).unwrap();
            let (split, mut bands) = array.split([0..1]).unwrap();
            let handle = pool.submit(write_without_end, bands.remove(0));
            let cancelled = std::thread::spawn(move || {
                assert!(matches!(handle.get(), Err(TaskError::Cancelled { .. })));
                let recovered = split.recover().expect("the band is back");
                assert_eq!(recovered.torn, [0..1]);
                let first = recovered.array.view()[0];
                (0..1000).for_each(|_| std::thread::yield_now());
                assert_eq!(recovered.array.view()[0], first, "somebody still writes");
            });
            pool.terminate();
            cancelled.join().unwrap();
        }
    });
}

#[test]
fn the_limit_of_descriptors_is_an_error_and_never_a_hang() {
    fn die(_: ()) {
        std::process::abort();
    }
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if part().is_some() {
        let used = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let former = getrlimit(Resource::Nofile);
        let spare = |spare: usize| {
            let limit = Rlimit { current: Some((used() + spare) as u64), ..former };
            setrlimit(Resource::Nofile, limit).unwrap();
        };
        let all = || setrlimit(Resource::Nofile, former).unwrap();

        // No pool can be made that would run short of descriptors.
        spare(1000);
        let error = Pool::builder().workers(400).build().unwrap_err();
        assert!(
            matches!(error, FarmError::Descriptors { workers: 400, left: 900.., .. }),
            "{error}"
        );
        all();
        // Two blocks stay open. In one, the program and its workers note facts about the shapes of
        // values. By the other, workers know that their master is still this program.
        let before = used() + 2;
        let large = pool(20);
        large.apply(pid, ()).unwrap();
        while large.processes().len() < 20 {
            std::thread::yield_now();
        }
        assert!(used() - before <= 40 + 20 * 5, "{} descriptors", used() - before);
        drop(large);
        // The thread that passes output on closes the last descriptor a moment later.
        common::wait_until(|| used() == before);

        // The program may run short of descriptors later.
        for n in 0..12 {
            let pool = pool(2);
            let large = vec![1_u8; 100_000];
            spare(n);
            // Each task gets an outcome, no matter which.
            let _ = pool.apply(|bytes: Vec<u8>| bytes.len(), large.clone());
            let _ = pool.map(|bytes: Vec<u8>| bytes, vec![large; 4]);
            let _ = pool.apply(die, ());
            let _ = pool.apply(pid, ());
            all();
        }
        assert_eq!(pool(2).map(f64::sqrt, [4.0]).unwrap(), [2.0]);
        return;
    }
    guard("descriptors", || {
        let name = "the_limit_of_descriptors_is_an_error_and_never_a_hang";
        // Without descriptors, the program could not even remove its folder for temporary files.
        let folder = Folder::new();
        let output = play(name, "master").env("TMPDIR", &folder.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
#[allow(clippy::print_stdout, reason = "that is what is tested")]
fn what_a_worker_prints_goes_to_stderr() {
    fn print(_: ()) {
        println!("printed by a worker");
    }
    if part().is_some() {
        pool(1).apply(print, ()).unwrap();
        return;
    }
    guard("printing", || {
        let output = play("what_a_worker_prints_goes_to_stderr", "master").output().unwrap();
        assert!(output.status.success());
        let [out, err] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(!out.contains("printed by a worker"), "{out}");
        assert!(err.contains("printed by a worker"), "{err}");
    });
}

#[test]
fn ten_thousand_queued_tasks_and_large_unread_results_need_few_descriptors() {
    fn long(n: usize) -> Vec<u8> {
        vec![n as u8; 20_000]
    }
    let name = "ten_thousand_queued_tasks_and_large_unread_results_need_few_descriptors";
    if part().is_some() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let former = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..former }).unwrap();
        let pool = pool(2);
        let handles: Vec<_> = (0..10_000).map(|n| pool.submit(long, n)).collect();
        handles.iter().for_each(TaskHandle::wait);
        for (n, handle) in handles.into_iter().enumerate() {
            assert!(handle.get().unwrap() == long(n), "task {n}");
        }
        return;
    }
    guard("few_descriptors", || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn a_worker_in_the_hands_of_a_debugger_holds_nobody_up() {
    guard("traced", || {
        let pool = Pool::builder().workers(2).timeout(std::time::Duration::from_millis(300));
        let pool = pool.build().unwrap();
        let handle = pool.submit(common::stay, ());
        let traced = common::process_of(&pool, &handle);
        let (seize, attached) = mpsc::channel();
        let (release, wait) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let none = std::ptr::null_mut::<libc::c_void>();
                // SAFETY: the call concerns a process of the farm, and no memory.
                let done = unsafe { libc::ptrace(libc::PTRACE_SEIZE, traced, none, none) };
                seize.send(done).unwrap();
                // The tracer is this thread; when the thread ends, the worker is released.
                let _ = wait.recv();
            });
            if attached.recv().unwrap() == 0 {
                let error = handle.get().unwrap_err();
                assert!(matches!(error, TaskError::TimedOut { .. }), "{error}");
                common::is_usable(&pool);
            } else {
                eprintln!("not tried: this system allows no debugging");
            }
            drop(release);
        });
        drop(pool);
    });
}
