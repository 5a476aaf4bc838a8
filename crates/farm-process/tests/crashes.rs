//! All ways to die, at all moments of a task: a death costs that task alone, and the report says
//! how the worker died.

farm_process::init_before_main!();

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{
    Folder, Group, TRANSPORTS, builder_by, by_each, is_usable, part, pid, play, pool_by, stay,
    wait_for_end_of, wait_until,
};
use farm_conformance::watchdog::guard;
use farm_core::Loss;
use farm_core::prelude::*;
use farm_process::{Pool, Transport};
use rustix::process::Signal;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Death {
    Panic,
    Exit0,
    QuickExit3,
    Abort,
    Fault,
    StackOverflow,
    Kill,
    OutOfMemory,
}

const DEATHS: [Death; 8] = {
    use Death::*;
    [Panic, Exit0, QuickExit3, Abort, Fault, StackOverflow, Kill, OutOfMemory]
};

impl Death {
    fn die(self) {
        #[expect(unconditional_recursion)]
        fn deeper(n: u64) -> u64 {
            std::hint::black_box([n; 512])[7] + deeper(n + 1)
        }
        match self {
            Self::Panic => panic!("on purpose"),
            Self::Exit0 => std::process::exit(0),
            // SAFETY: the call ends the process, and does nothing else.
            Self::QuickExit3 => unsafe { libc::_exit(3) },
            Self::Abort => std::process::abort(),
            // SAFETY: none, since a fault is what is tested. The first page is never mapped.
            Self::Fault => unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) },
            Self::StackOverflow => drop(deeper(0)),
            Self::Kill => {
                common::kill(pid(()), Signal::KILL);
                stay(());
            }
            Self::OutOfMemory => {
                drop(std::hint::black_box(Vec::<u8>::with_capacity(isize::MAX as usize)));
            }
        }
    }

    /// The name of the signal and the exit code in the report; `None` if the worker lives on.
    fn shows_as(self) -> Option<(Option<&'static str>, Option<i32>)> {
        match self {
            Self::Panic => None,
            Self::Exit0 => Some((None, Some(0))),
            Self::QuickExit3 => Some((None, Some(3))),
            Self::Abort | Self::OutOfMemory => Some((Some("SIGABRT"), None)),
            // The Rust runtime turns a stack overflow into an abort only from `main` on, and
            // workers never reach `main`.
            Self::Fault | Self::StackOverflow => Some((Some("SIGSEGV"), None)),
            Self::Kill => Some((Some("SIGKILL"), None)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Moment {
    Decoding,
    Running,
    Encoding,
    Dropping,
}

/// An argument and a result that kills its process at a given moment.
#[derive(Debug, PartialEq)]
struct Fuse {
    item: usize,
    set: Option<(Death, Moment)>,
    /// The id of the master's process, which is not killed.
    master: u32,
}

impl Fuse {
    fn burn(&self, now: Moment) {
        if let Some((death, moment)) = self.set
            && moment == now
            && self.master != std::process::id()
        {
            death.die();
        }
    }
}

impl Serialize for Fuse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.burn(Moment::Encoding);
        (self.item, self.set, self.master).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fuse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (item, set, master) = Deserialize::deserialize(deserializer)?;
        let fuse = Self { item, set, master };
        fuse.burn(Moment::Decoding);
        Ok(fuse)
    }
}

impl Drop for Fuse {
    fn drop(&mut self) {
        // A second panic would abort the process.
        if !std::thread::panicking() {
            self.burn(Moment::Dropping);
        }
    }
}

fn burn(fuse: Fuse) -> Fuse {
    fuse.burn(Moment::Running);
    fuse
}

fn assert_shows(death: Death, loss: &Loss) {
    let (signal, code) = death.shows_as().expect("a worker was lost");
    assert_eq!(loss.signal_name().as_deref(), signal, "{death:?}: {loss}");
    assert_eq!(loss.code, code, "{death:?}: {loss}");
}

#[test]
fn a_death_at_any_moment_costs_its_task_alone() {
    by_each("the_crash_table", |transport| {
        let pool = pool_by(transport, 2);
        let master = std::process::id();
        let mut lost = 0;
        for death in DEATHS {
            for moment in [Moment::Decoding, Moment::Running, Moment::Encoding, Moment::Dropping] {
                let fuse =
                    |item| Fuse { item, set: (item == 7).then_some((death, moment)), master };
                let outcomes = pool.map_each(burn, (0..20).map(fuse));
                for (item, outcome) in outcomes.into_iter().enumerate() {
                    match outcome {
                        Ok(fuse) => assert!(item != 7 && fuse.item == item, "{death:?} {moment:?}"),
                        Err(error) => {
                            assert_eq!(error.task().item, Some(7), "{death:?} {moment:?}: {error}");
                            assert!(error.to_string().contains("crashes::burn"), "{error}");
                            match error {
                                TaskError::WorkerLost { loss, attempts: 1, .. } => {
                                    assert_shows(death, &loss);
                                    lost += 1;
                                }
                                TaskError::Panicked { message, .. } => {
                                    assert_eq!(
                                        (death, message.as_str()),
                                        (Death::Panic, "on purpose")
                                    );
                                }
                                other => panic!("{death:?} {moment:?}: {other}"),
                            }
                        }
                    }
                }
                is_usable(&pool);
                assert_eq!(pool.stats().workers_lost, lost, "{death:?} {moment:?}");
            }
        }
        assert_eq!(lost, 7 * 4);
    });
}

/// A task that leaves a thread behind, which kills the worker when the test says so.
fn leave_a_thread((death, gate): (Death, std::path::PathBuf)) -> i32 {
    std::thread::spawn(move || {
        wait_until(|| gate.exists());
        death.die();
    });
    pid(())
}

#[test]
fn a_death_after_the_reply_costs_nothing() {
    by_each("after_the_reply", |transport| {
        for death in DEATHS.into_iter().filter(|death| death.shows_as().is_some()) {
            let (pool, folder) = (pool_by(transport, 1), Folder::new());
            let gate = folder.0.join("open");
            let worker = pool.apply(leave_a_thread, (death, gate.clone())).unwrap();
            std::fs::write(&gate, "").unwrap();
            wait_for_end_of(worker);
            is_usable(&pool);
            let stats = pool.stats();
            assert_eq!((stats.workers_lost, stats.retried, stats.failed), (1, 0, 0), "{death:?}");
        }
    });
}

#[test]
fn a_death_that_races_with_its_reply_is_either_and_harms_nobody_else() {
    fn race((x, wait): (u64, Option<u64>)) -> u64 {
        if let Some(wait) = wait {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_micros(wait));
                Death::Kill.die();
            });
        }
        // This is long enough for some of those threads to act before the task ends.
        let end = std::time::Instant::now() + Duration::from_micros(100);
        while std::time::Instant::now() < end {
            std::hint::spin_loop();
        }
        x + 1
    }
    by_each("race", |transport| {
        // A death costs the task that runs at that moment, so other tasks are started again too;
        // each still gets one outcome.
        let pool = builder_by(transport, 2).retries(50).build().unwrap();
        let items = (0..400).map(|x| (x, (x % 4 == 0).then_some(x % 300)));
        for (x, outcome) in (0..).zip(pool.map_each(race, items)) {
            match outcome {
                Ok(y) => assert_eq!(y, x + 1),
                // If such a thread acts first in each attempt, the task runs out of retries.
                Err(TaskError::WorkerLost { attempts: 51, .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        is_usable(&pool);
        assert!(pool.stats().workers_lost > 0);
    });
}

#[test]
fn a_waker_may_submit_a_task_that_kills_its_worker() {
    struct Submits(Arc<Pool>, Mutex<mpsc::Sender<TaskHandle<()>>>);
    impl Wake for Submits {
        fn wake(self: Arc<Self>) {
            let handle = self.0.submit(|()| Death::Abort.die(), ());
            self.1.lock().unwrap().send(handle).unwrap();
        }
    }
    by_each("waker", |transport| {
        let pool = Arc::new(builder_by(transport, 1).max_queued(1).build().unwrap());
        for _ in 0..20 {
            let (sender, submitted) = mpsc::channel();
            let waker: Waker = Arc::new(Submits(pool.clone(), Mutex::new(sender))).into();
            let mut handle = Box::pin(pool.submit(common::square, 3));
            match Future::poll(handle.as_mut(), &mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => assert_eq!(outcome.unwrap(), 9),
                Poll::Pending => {
                    handle.wait();
                    let error = submitted.recv().unwrap().get().unwrap_err();
                    assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}");
                }
            }
        }
        is_usable(&pool);
    });
}

#[test]
fn the_last_output_of_a_worker_are_in_the_report_and_on_stderr() {
    fn speak_and_die(lines: usize) {
        eprintln!("the first line");
        for line in 0..lines {
            eprintln!("line {line} of many that fill a pipe several times over");
        }
        eprint!("no newline at the end");
        std::process::abort();
    }
    let name = "the_last_output_of_a_worker_are_in_the_report_and_on_stderr";
    if part().is_some() {
        for (transport, lines) in TRANSPORTS.into_iter().flat_map(|by| [(by, 3), (by, 20_000)]) {
            let pool = pool_by(transport, 2);
            let error = pool.apply(speak_and_die, lines).unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with("its last output: no newline at the end"), "{text}");
            assert!(!text.contains('\n'), "{text}");
            let TaskError::WorkerLost { loss, .. } = error else { panic!("{error}") };
            assert_eq!(loss.last_output.starts_with("the first line\n"), lines == 3);
            assert!(loss.last_output.len() <= 4096);
            assert!(loss.last_output.contains(&format!("line {} ", lines - 1)));
            assert!(lines == 3 || loss.last_output.starts_with("line "), "whole lines");
        }
        return;
    }
    guard("last_output", || {
        let output = play(name, "master").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let many = text.lines().filter(|line| line.ends_with("several times over")).count();
        assert_eq!(many, 2 * 20_003, "nothing is lost on the way");
        assert_eq!(text.lines().filter(|line| *line == "no newline at the end").count(), 4);
    });
}

#[test]
fn every_signal_is_told_by_its_name() {
    fn end_by(signal: i32) {
        // SAFETY: the calls concern this process alone, which is about to end.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
        }
    }
    guard("signals", || {
        let pool = pool_by(Transport::Lanes, 1);
        let real_time = libc::SIGRTMIN();
        let signals = [
            (libc::SIGALRM, "SIGALRM"),
            (libc::SIGVTALRM, "SIGVTALRM"),
            (libc::SIGUSR1, "SIGUSR1"),
            (libc::SIGXCPU, "SIGXCPU"),
            (libc::SIGSTKFLT, "SIGSTKFLT"),
            (real_time, "SIGRTMIN"),
            (real_time + 7, "SIGRTMIN+7"),
            (libc::SIGRTMAX(), "SIGRTMIN+30"),
        ];
        for (signal, name) in signals {
            let error = pool.apply(end_by, signal).unwrap_err().to_string();
            assert!(error.contains(&format!("was ended by {name}")), "{error}");
        }
    });
}

#[test]
fn the_last_output_of_a_panic_that_ends_a_worker_are_its_message() {
    extern "C" fn panic_where_nothing_unwinds() {
        panic!("the reason is this");
    }
    /// Panics on a thread that the task has started itself, and then dies.
    fn panic_and_die(depth: u32) {
        let thread = std::thread::Builder::new().spawn(move || {
            fn go_down(depth: u32) {
                if depth > 0 {
                    go_down(std::hint::black_box(depth - 1));
                    std::hint::black_box(());
                } else {
                    panic!("the reason is this");
                }
            }
            go_down(depth);
        });
        let _ = thread.unwrap().join();
        std::process::abort();
    }
    fn cannot_unwind(_: ()) {
        let _ = std::thread::spawn(|| panic_where_nothing_unwinds()).join();
    }
    guard("backtraces", || {
        let pool = Pool::builder().workers(1).env("RUST_BACKTRACE", "1").build().unwrap();
        // The backtrace is longer than what is kept of a worker's output.
        for depth in [0, 100] {
            let error = pool.apply(panic_and_die, depth).unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with("its last output: the reason is this"), "{text}");
            let TaskError::WorkerLost { loss, .. } = error else { panic!("{text}") };
            let words: Vec<_> = loss.last_output.lines().collect();
            assert!(words.len() == 2 && words[0].contains("panicked at"), "{words:?}");
        }
        let error = pool.apply(cannot_unwind, ()).unwrap_err();
        let TaskError::WorkerLost { loss, .. } = error else { panic!("{error}") };
        assert!(loss.last_output.contains("the reason is this"), "{loss:?}");
        assert!(!loss.last_output.contains("backtrace"), "{loss:?}");
        assert!(!loss.last_output.lines().any(|line| line.trim().starts_with("at ")), "{loss:?}");
    });
}

#[test]
fn the_peak_of_a_workers_memory_is_reported_where_it_is_known() {
    fn use_memory_and_die(mib: usize) {
        std::hint::black_box(vec![1_u8; mib << 20]);
        std::process::abort();
    }
    by_each("peak", |transport| {
        let error = pool_by(transport, 1).apply(use_memory_and_die, 300).unwrap_err();
        let TaskError::WorkerLost { loss, .. } = &error else { panic!("{error}") };
        let peak = loss.peak_memory.expect("more than the master has") >> 20;
        assert!((300..400).contains(&peak), "{error}");
    });
}

#[test]
fn a_worker_that_the_kernel_kills_for_memory_is_told_from_one_that_somebody_kills() {
    fn use_memory(mib: usize) {
        std::hint::black_box(vec![1_u8; mib << 20]);
    }
    let name = "a_worker_that_the_kernel_kills_for_memory_is_told_from_one_that_somebody_kills";
    let is_struck = |pool: &Pool, by: Death| {
        let outcome = match by {
            Death::OutOfMemory => pool.apply(use_memory, 600),
            other => pool.apply(|death: Death| death.die(), other),
        };
        let error = outcome.unwrap_err();
        let TaskError::WorkerLost { loss, .. } = &error else { panic!("{error}") };
        assert_eq!(loss.signal_name().as_deref(), Some("SIGKILL"), "{error}");
        assert_eq!(error.to_string().contains("memory ran out"), loss.out_of_memory);
        loss.out_of_memory
    };
    if let Some(group) = part() {
        Group::enter(&group);
        for transport in TRANSPORTS {
            let pool = pool_by(transport, 2);
            assert!(!is_struck(&pool, Death::Kill));
            assert!(is_struck(&pool, Death::OutOfMemory));
            assert!(!is_struck(&pool, Death::Kill));
            is_usable(&pool);
        }
        return;
    }
    let limit = |version| match version {
        1 => ("memory.limit_in_bytes", (200 << 20).to_string()),
        _ => ("memory.max", (200 << 20).to_string()),
    };
    let Some(group) = Group::new("memory", limit) else {
        eprintln!("not tried: only the owner of a control group can limit its memory");
        return;
    };
    guard("out_of_memory", || {
        let output = play(name, &group.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
