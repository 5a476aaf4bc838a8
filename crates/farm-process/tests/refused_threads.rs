//! A system that refuses one thread, or all from some moment on: a pool reports that in one line or
//! works, and nothing of it is left.

farm_process::init_before_main!();

mod common;

use std::ffi::{c_int, c_void};
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use common::{kill, part, pid, play, square, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Transport;
use rustix::process::Signal;

type Body = extern "C" fn(*mut c_void) -> *mut c_void;
type Create = unsafe extern "C" fn(*mut c_void, *const c_void, Body, *mut c_void) -> c_int;

/// How many more threads this program may start, how many requests are refused after that, and how
/// many were refused.
static ALLOWED: AtomicI64 = AtomicI64::new(i64::MAX);
static REFUSALS: AtomicI64 = AtomicI64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// Takes the place of the system's function, by which all threads of this program are started.
///
/// # Safety
///
/// As for pthread_create(3).
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut c_void,
    attributes: *const c_void,
    body: Body,
    argument: *mut c_void,
) -> c_int {
    static REAL: OnceLock<Create> = OnceLock::new();
    if ALLOWED.fetch_sub(1, Ordering::SeqCst) <= 0 && REFUSALS.fetch_sub(1, Ordering::SeqCst) > 0 {
        REFUSED.fetch_add(1, Ordering::SeqCst);
        return libc::EAGAIN;
    }
    let real = REAL.get_or_init(|| {
        // SAFETY: the name ends with a zero, and the function of this name has this type.
        unsafe {
            let found = libc::dlsym(libc::RTLD_NEXT, c"pthread_create".as_ptr());
            assert!(!found.is_null());
            std::mem::transmute::<*mut c_void, Create>(found)
        }
    });
    // SAFETY: the caller fulfils the conditions of pthread_create(3).
    unsafe { real(thread, attributes, body, argument) }
}

/// From now on `after` threads may be started, and the next `times` requests are refused.
fn refuse(after: i64, times: i64) {
    REFUSED.store(0, Ordering::SeqCst);
    REFUSALS.store(times, Ordering::SeqCst);
    ALLOWED.store(after, Ordering::SeqCst);
}

fn has_refused() -> bool {
    REFUSED.load(Ordering::SeqCst) > 0
}

/// How many threads, descriptors and children this process has.
fn belongings() -> [usize; 3] {
    let count = |path: &str| std::fs::read_dir(path).unwrap().count();
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let children = threads
        .map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let children = children.map(|children| children.split_whitespace().count()).sum();
    [count("/proc/self/task"), count("/proc/self/fd"), children]
}

/// Whether an outcome is one that a pool may give after it was refused threads.
fn has_ended<R>(outcome: &Result<R, TaskError>) -> bool {
    matches!(outcome, Ok(_) | Err(TaskError::NoWorkers { .. } | TaskError::WorkerLost { .. }))
}

/// Uses a pool as a program does; with `kills`, one of its workers is killed.
fn use_pool<P: Farm>(pool: &P, kills: bool) {
    let noop = &mut Context::from_waker(Waker::noop());
    let mut awaited: Vec<_> = (0..4).map(|x| pool.submit(square, x)).collect();
    awaited.retain_mut(|handle| Pin::new(handle).poll(noop).is_pending());
    assert!(has_ended(&pool.map(square, 0..100)));
    if kills {
        if let Ok(worker) = pool.apply(pid, ()) {
            kill(worker, Signal::KILL);
        }
        assert!(has_ended(&pool.apply(square, 3)));
    }
    for handle in awaited {
        assert!(has_ended(&handle.get()));
    }
}

/// Refuses the first thread that a pool asks for, then the second, and so on until the pool gets
/// them all. Returns how many were refused.
fn refuse_each<P: Farm>(times: i64, kills: bool, build: impl Fn() -> Result<P, FarmError>) -> i64 {
    // All that stays for the life of the program is made before.
    drop(build().unwrap());
    for nth in 0.. {
        wait_until(|| belongings()[2] == 0);
        let before = belongings();
        refuse(nth, times);
        match build() {
            Ok(pool) => {
                use_pool(&pool, kills);
                drop(pool);
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("ulimit -u") && !text.contains('\n'), "{nth}: {text}");
            }
        }
        let had_all = !has_refused();
        refuse(i64::MAX, 0);
        // Threads for wakers, and the one that writes to stderr, end by themselves a moment later.
        let ended = std::time::Instant::now() + Duration::from_secs(20);
        wait_until(|| {
            let now = belongings();
            assert!(std::time::Instant::now() < ended, "{nth}: {before:?} became {now:?}");
            now.iter().zip(&before).all(|(now, before)| now <= before)
        });
        if had_all {
            return nth;
        }
    }
    unreachable!("there are numbers enough")
}

fn each_refused_thread(name: &'static str, run: impl Fn(i64) -> i64) {
    if let Some(times) = part() {
        let nth = run(times.parse().unwrap());
        assert!(nth >= 2, "{nth} threads");
        return;
    }
    guard(name, || {
        for times in ["1", "1000000"] {
            let output = play(name, times).output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !err.contains("panicked"), "{times}: {err}");
        }
    });
}

fn processes(transport: Transport, times: i64) -> i64 {
    refuse_each(times, true, || common::builder_by(transport, 2).build())
}

#[test]
fn a_pool_by_lanes_that_is_refused_a_thread_says_so_or_works_and_leaves_nothing() {
    each_refused_thread(
        "a_pool_by_lanes_that_is_refused_a_thread_says_so_or_works_and_leaves_nothing",
        |times| processes(Transport::Lanes, times),
    );
}

#[test]
fn a_pool_by_channel_that_is_refused_a_thread_says_so_or_works_and_leaves_nothing() {
    each_refused_thread(
        "a_pool_by_channel_that_is_refused_a_thread_says_so_or_works_and_leaves_nothing",
        |times| processes(Transport::Channel, times),
    );
}

#[test]
fn a_pool_on_rayon_that_is_refused_a_thread_says_so_and_leaves_nothing() {
    each_refused_thread(
        "a_pool_on_rayon_that_is_refused_a_thread_says_so_and_leaves_nothing",
        |times| refuse_each(times, false, || farm_rayon::Pool::builder().workers(3).build()),
    );
}

/// A user that runs no other process.
const NOBODY_ELSE: u32 = 54_321;

#[test]
fn under_a_low_limit_of_processes_a_pool_says_so_or_works() {
    let name = "under_a_low_limit_of_processes_a_pool_says_so_or_works";
    if let Some(most) = part() {
        let most = most.parse().ok();
        let limit = rustix::process::Rlimit { current: most, maximum: most };
        // SAFETY: the calls change this program alone, which was started for this test.
        unsafe {
            assert_eq!(libc::setgid(NOBODY_ELSE), 0);
            assert_eq!(libc::setuid(NOBODY_ELSE), 0);
        }
        rustix::process::setrlimit(rustix::process::Resource::Nproc, limit).unwrap();
        // The channel is used here; lanes of a program that has changed its user are not tested.
        match common::builder_by(Transport::Channel, 2).build() {
            Ok(pool) => use_pool(&pool, true),
            Err(error) => {
                let text = error.to_string();
                assert!(most < Some(30), "{text}");
                assert!(text.contains("ulimit -u") && !text.contains('\n'), "{text}");
            }
        }
        assert_eq!(belongings()[2], 0, "no worker is left");
        return;
    }
    guard(name, || {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root can become a user that runs nothing else");
            return;
        }
        for most in (1..=12).chain([20, 40]) {
            let output = play(name, &most.to_string()).output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !err.contains("panicked"), "{most}: {err}");
        }
    });
}
