//! A pool that is used and dropped at the very end of a program: in an exit handler, or in the
//! destructor of a thread-local, when other thread-locals are destroyed already. This test has a
//! `main` of its own, because a test harness ends in another way.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::cell::RefCell;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Transport;
use farm_shm::SharedArray;
use ndarray::{Array1, Ix1};

const PART: &str = "FARM_TEST_PART";
const DONE: &str = "all is done";

/// What the program does in its exit handler.
static LEFT: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

extern "C" fn at_exit() {
    let left = LEFT.lock().unwrap().take();
    left.into_iter().for_each(|left| left());
}

/// A thread-local that does something when it is destroyed with its thread.
struct Last(RefCell<Option<Box<dyn FnOnce()>>>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(|left| left());
    }
}

thread_local! {
    static LAST: Last = const { Last(RefCell::new(None)) };
}

fn square(x: u64) -> u64 {
    x * x
}

fn long(n: usize) -> Vec<u8> {
    vec![n as u8; 300_000]
}

fn sum(array: farm_shm::ArrayRef<f64, Ix1>) -> f64 {
    array.view().sum()
}

fn fail(x: u64) -> u64 {
    panic!("not {x}")
}

fn end_here(_: ()) {
    std::process::abort();
}

/// Uses a pool in all ways.
fn use_all<P: Farm>(pool: &P, has_processes: bool) {
    assert_eq!(pool.map(square, 0..1000).unwrap().len(), 1000);
    assert_eq!(pool.apply(long, 7).unwrap(), long(7));
    let ones = SharedArray::from_array(&Array1::<f64>::ones(1000)).unwrap().freeze();
    assert_eq!(pool.apply(sum, ones.clone()).unwrap(), 1000.0);
    let error = pool.apply(fail, 3).unwrap_err();
    assert!(matches!(&error, TaskError::Panicked { message, .. } if message == "not 3"), "{error}");
    if has_processes {
        assert!(matches!(pool.apply(end_here, ()), Err(TaskError::WorkerLost { .. })));
    }
}

/// Leaves a pool to the end of the program, while some tasks are done and others not, and while
/// some results have not been read.
fn play<P: Farm + 'static>(pool: P, part: &str, has_processes: bool) {
    use_all(&pool, has_processes);
    let unread: Vec<_> = (0..20).map(|n| pool.submit(long, n)).collect();
    unread[0].wait();
    let (at, end) = part.split_once(' ').unwrap();
    let how = match end {
        "drop" => drop,
        _ => Farm::shutdown,
    };
    let is_used = end == "use";
    let left = move || {
        if is_used {
            use_all(&pool, has_processes);
        }
        how(pool);
        for handle in unread {
            assert!(matches!(handle.get(), Ok(_) | Err(TaskError::Cancelled { .. })));
        }
        println!("{DONE}");
    };
    if at == "handler" {
        *LEFT.lock().unwrap() = Some(Box::new(left));
        // SAFETY: the function belongs to this program, and stays loaded.
        unsafe { libc::atexit(at_exit) };
    } else {
        LAST.with(|last| last.0.replace(Some(Box::new(left) as Box<dyn FnOnce()>)));
    }
}

fn main() {
    farm_process::init();
    if let Ok(part) = std::env::var(PART) {
        let (pool, part) = part.split_once(' ').unwrap();
        let processes = |transport| {
            farm_process::Pool::builder().workers(2).transport(transport).build().unwrap()
        };
        match pool {
            "lanes" => play(processes(Transport::Lanes), part, true),
            "channel" => play(processes(Transport::Channel), part, true),
            "rayon" => play(farm_rayon::Pool::builder().workers(2).build().unwrap(), part, false),
            _ => play(farm_mono::Pool::new().unwrap(), part, false),
        }
        return;
    }
    const NAME: &str = "pools_may_be_used_and_dropped_when_thread_locals_are_gone";
    // A harness may be asked for tests by name, and so may this program.
    let mut wanted = std::env::args().skip(1).filter(|argument| !argument.starts_with('-'));
    if !wanted.all(|part| NAME.contains(&part)) {
        return;
    }
    if std::env::args().any(|argument| argument == "--list") {
        return println!("{NAME}: test");
    }
    let mut children = Vec::new();
    for pool in ["mono", "rayon", "lanes", "channel"] {
        for at in ["handler", "thread-local"] {
            for end in ["drop", "shutdown", "use"] {
                children.push(format!("{pool} {at} {end}"));
            }
        }
    }
    for part in children {
        guard(NAME, || {
            let mut command = Command::new(std::env::current_exe().unwrap());
            let output = command.env(PART, &part).stdin(Stdio::null()).output().unwrap();
            let (out, err) =
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{part}: {} {err}", output.status);
            assert!(out.contains(DONE) && !err.contains("panicked"), "{part}: {out} {err}");
        });
        println!("test {part} ... ok");
    }
}
