//! What is true of worker processes alone: they die, and the pool lives on.

farm_process::init_before_main!();

use std::io::{BufRead, BufReader, Read, Write};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{Band, SharedArray};
use ndarray::Ix1;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

fn pid(_: ()) -> i32 {
    std::process::id().cast_signed()
}

/// Waits for the end of a process that may be no child of this one.
fn wait_for_end_of(pid: i32) {
    if let Ok(pidfd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) {
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    }
}

#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
enum Death {
    Exit(i32),
    Abort,
    Signal(i32),
    Overflow,
}

/// Dies if it is told to; otherwise squares.
fn square_or_die((x, death): (u64, Option<Death>)) -> u64 {
    #[expect(unconditional_recursion)]
    fn deeper(n: u64) -> u64 {
        std::hint::black_box([n; 512])[7] + deeper(n + 1)
    }
    match death {
        None => {}
        Some(Death::Exit(code)) => std::process::exit(code),
        Some(Death::Abort) => std::process::abort(),
        Some(Death::Signal(signal)) => {
            let signal = Signal::from_named_raw(signal).unwrap();
            kill_process(rustix::process::getpid(), signal).unwrap();
            // A signal to the process itself arrives at the latest now.
            std::thread::park();
        }
        Some(Death::Overflow) => return deeper(0),
    }
    x * x
}

#[test]
fn a_dead_worker_costs_only_the_task_that_it_was_running() {
    guard("a_dead_worker", || {
        let deaths = [
            (Death::Exit(0), None, Some(0)),
            (Death::Exit(3), None, Some(3)),
            (Death::Abort, Some(6), None),
            (Death::Signal(9), Some(9), None),
            (Death::Signal(11), Some(11), None),
            (Death::Signal(15), Some(15), None),
            (Death::Overflow, Some(11), None),
        ];
        let pool = pool(2);
        let mut lost = 0;
        for (death, signal, code) in deaths {
            let items = (0..100).map(|x| (x, (x == 37).then_some(death)));
            let outcomes = pool.map_each(square_or_die, items);
            for (x, outcome) in (0..).zip(outcomes) {
                match outcome {
                    Ok(y) => assert!(x != 37 && y == x * x),
                    Err(TaskError::WorkerLost { task, loss, attempts }) => {
                        assert_eq!(task.item, Some(37), "{death:?}");
                        assert_eq!((loss.signal, loss.code), (signal, code), "{death:?}");
                        assert_eq!(attempts, 1);
                        lost += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
        assert_eq!(lost, deaths.len() as u64);
        assert_eq!(pool.stats().workers_lost, lost);
        let error = pool.apply(square_or_die, (1, Some(Death::Signal(9)))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("square_or_die") && text.contains("SIGKILL"), "{text}");
    });
}

#[test]
fn a_worker_that_is_killed_while_it_is_idle_is_replaced_and_costs_nothing() {
    guard("an_idle_worker", || {
        let pool = pool(1);
        for _ in 0..5 {
            let worker = pool.apply(pid, ()).unwrap();
            kill_process(Pid::from_raw(worker).unwrap(), Signal::KILL).unwrap();
            wait_for_end_of(worker);
            // The next task may be charged if it is sent before the death is known; it is never lost.
            match pool.apply(pid, ()) {
                Ok(next) => assert_ne!(next, worker),
                Err(error) => assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}"),
            }
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
        // Also from another thread of the worker.
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
        // Nothing comes up in no time; each attempt is killed.
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
        // A pipe with a name, so that the task ends when this test says so.
        let folder = std::env::temp_dir().join(format!("farm-wakers-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let pipe = folder.join("pipe");
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
        std::fs::remove_dir_all(&folder).unwrap();
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
    if std::env::var_os(PART).is_some() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
        let former = getrlimit(Resource::Nofile);
        for spare in (0..40).step_by(3) {
            let limit = Rlimit { current: Some(used + spare), ..former };
            setrlimit(Resource::Nofile, limit).unwrap();
            if let Ok(pool) = Pool::builder().workers(2).build() {
                let large = vec![1_u8; 100_000];
                // Each has an outcome, whichever.
                let _ = pool.apply(|bytes: Vec<u8>| bytes.len(), large.clone());
                let _ = pool.map(|bytes: Vec<u8>| bytes, vec![large; 4]);
            }
            setrlimit(Resource::Nofile, former).unwrap();
        }
        assert_eq!(pool(2).map(f64::sqrt, [4.0]).unwrap(), [2.0]);
        return;
    }
    guard("descriptors", || {
        let name = "the_limit_of_descriptors_is_an_error_and_never_a_hang";
        // Without descriptors, a folder for temporary files cannot even be removed.
        let folder = std::env::temp_dir().join(format!("farm-limit-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let output = play(name, "master").env("TMPDIR", &folder).output().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// Set in the processes that the tests below start to play a master.
const PART: &str = "FARM_TEST_PART";

/// Starts this test program again, to run only the test `name` with `part` set.
fn play(name: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(PART, part);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_master_that_is_killed_takes_its_workers_along_even_in_the_middle_of_a_task() {
    fn say_and_stay(_: ()) {
        // In one piece, since two workers write at once.
        let line = format!("worker {}\n", std::process::id());
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        loop {
            std::thread::park();
        }
    }
    if std::env::var_os(PART).is_some() {
        let pool = pool(2);
        let busy: Vec<_> = (0..2).map(|_| pool.submit(say_and_stay, ())).collect();
        busy.into_iter().for_each(|handle| handle.wait());
        return;
    }
    guard("killed_master", || {
        let name = "a_master_that_is_killed_takes_its_workers_along_even_in_the_middle_of_a_task";
        let mut master = play(name, "master").spawn().unwrap();
        let mut lines = BufReader::new(master.stderr.take().unwrap()).lines();
        let workers: Vec<i32> = lines
            .by_ref()
            .map(|line| line.unwrap().strip_prefix("worker ").unwrap().parse().unwrap())
            .take(2)
            .collect();
        master.kill().unwrap();
        master.wait().unwrap();
        workers.into_iter().for_each(wait_for_end_of);
        assert_eq!(lines.count(), 0, "nobody has complained");
    });
}

#[test]
#[allow(clippy::print_stdout, reason = "that is what is tested")]
fn what_a_worker_prints_goes_to_stderr() {
    fn print(_: ()) {
        println!("printed by a worker");
    }
    if std::env::var_os(PART).is_some() {
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
