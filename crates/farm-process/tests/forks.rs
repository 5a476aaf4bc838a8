//! A fork of the program has copies of its pool, its handles and its results. Using them there is
//! refused, or does no harm.

farm_process::init_before_main!();

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{TRANSPORTS, part, pid, play, pool_by, square, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::{Pool, Transport};

/// The child, as the parent sees it.
struct Child(libc::pid_t);

impl Child {
    /// Forks; returns `None` in the child, which is killed if it does not end in time.
    fn fork() -> Option<Self> {
        // SAFETY: the child calls only what needs no other thread. This test checks that the farm
        // ensures that.
        match unsafe { libc::fork() } {
            0 => {
                // SAFETY: the call concerns this process alone, which handles no SIGALRM.
                unsafe { libc::alarm(60) };
                None
            }
            child => Some(Self(child)),
        }
    }

    /// Runs the child's part, and ends the child.
    fn play(body: impl FnOnce()) -> ! {
        let is_well = catch_unwind(AssertUnwindSafe(body)).is_ok();
        // SAFETY: the call ends the process, and does nothing else.
        unsafe { libc::_exit(if is_well { 0 } else { 1 }) }
    }

    fn ends_well(self) {
        let mut status = 0;
        // SAFETY: the pointer leads to a value that outlives the call.
        unsafe { libc::waitpid(self.0, &mut status, 0) };
        assert_eq!(status, 0, "the child has ended well");
    }
}

/// Plays `body` as a program of its own, in which no other test forks, with each transport.
fn in_a_program(name: &'static str, body: impl Fn(Transport)) {
    if part().is_some() {
        TRANSPORTS.into_iter().for_each(body);
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

fn is_refused<R>(outcome: Result<R, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::NoWorkers { reason, .. }) if reason.contains("is a fork"))
}

/// A task that reverses bytes, once a file is there.
fn reverse_when_there((gate, mut bytes): (PathBuf, Vec<u8>)) -> Vec<u8> {
    wait_until(|| gate.exists());
    bytes.reverse();
    bytes
}

/// A task that waits until a file is there, if it is given one.
fn go_on_when_there(gate: Option<PathBuf>) {
    wait_until(|| gate.as_ref().is_none_or(|gate| gate.exists()));
}

/// A task whose result is so long that it lies beside the messages.
fn long(n: usize) -> Vec<u8> {
    (0..200_000).map(|i| (i % 251 + n) as u8).collect()
}

#[test]
fn a_fork_of_the_program_leaves_the_pool_to_it() {
    in_a_program("a_fork_of_the_program_leaves_the_pool_to_it", |transport| {
        let ends: [fn(Pool); 3] = [drop, Farm::shutdown, Farm::terminate];
        for end in ends {
            let (pool, folder) = (pool_by(transport, 2), common::Folder::new());
            let other_pool = pool_by(transport, 1);
            let gate = folder.0.join("open");
            let busy: Vec<_> =
                (0..6).map(|n| pool.submit(reverse_when_there, (gate.clone(), long(n)))).collect();
            let gates = [None, Some(gate.clone()), Some(gate.clone())];
            let mut others = other_pool.imap(go_on_when_there, gates);
            assert!(others.next().unwrap().is_ok());
            let Some(child) = Child::fork() else {
                Child::play(|| {
                    assert!(is_refused(pool.apply(pid, ())));
                    assert!(is_refused(pool.submit(reverse_when_there, (gate, long(9))).get()));
                    assert!(is_refused(pool.map(square, 0..100)));
                    assert!(pool.imap(square, 0..100).all(is_refused));
                    assert!(others.all(is_refused));
                    end(pool);
                });
            };
            child.ends_well();
            std::fs::write(&gate, "").unwrap();
            for (n, handle) in busy.into_iter().enumerate() {
                assert!(handle.get().unwrap().into_iter().rev().eq(long(n)), "task {n}");
            }
            assert!(others.all(|outcome| outcome.is_ok()));
            common::is_usable(&pool);
            assert_eq!((pool.stats().workers_lost, pool.stats().failed), (0, 0));
        }
    });
}

#[test]
fn a_handle_in_a_fork_says_that_nothing_comes_and_stays_the_programs() {
    in_a_program(
        "a_handle_in_a_fork_says_that_nothing_comes_and_stays_the_programs",
        |transport| {
            let (pool, folder) = (pool_by(transport, 1), common::Folder::new());
            let gate = folder.0.join("open");
            let handles: Vec<_> = (0..5)
                .map(|n| pool.submit(reverse_when_there, (gate.clone(), vec![n; 3])))
                .collect();
            let Some(child) = Child::fork() else {
                Child::play(|| {
                    let mut handles = handles.into_iter();
                    let mut next = || handles.next().unwrap();
                    let first = next();
                    assert!(!first.cancel(), "it is not this process's to cancel");
                    assert!(is_refused(first.get()));
                    assert!(is_refused(next().get_timeout(Duration::from_secs(50)).unwrap()));
                    let mut awaited = next();
                    let mut context = Context::from_waker(Waker::noop());
                    let polled = Pin::new(&mut awaited).poll(&mut context);
                    assert!(matches!(polled.map(is_refused), Poll::Ready(true)));
                    drop(next());
                    drop(pool);
                    let last = next();
                    assert!(!last.cancel());
                    assert!(is_refused(last.get()));
                });
            };
            child.ends_well();
            std::fs::write(&gate, "").unwrap();
            for (n, handle) in (0..).zip(handles) {
                assert_eq!(handle.get().unwrap(), [n; 3]);
            }
            assert_eq!((pool.stats().completed, pool.stats().cancelled), (5, 0));
        },
    );
}

#[test]
fn results_that_a_fork_reads_or_drops_are_still_the_programs() {
    in_a_program("results_that_a_fork_reads_or_drops_are_still_the_programs", |transport| {
        let pool = pool_by(transport, 1);
        let handles: Vec<_> = (0..8).map(|n| pool.submit(long, n)).collect();
        handles.iter().for_each(TaskHandle::wait);
        let Some(child) = Child::fork() else {
            Child::play(|| {
                for (n, handle) in handles.into_iter().enumerate() {
                    if n % 2 == 0 {
                        assert!(handle.get().unwrap() == long(n), "result {n} in the child");
                    }
                }
                drop(pool);
            });
        };
        child.ends_well();
        // If the child had freed the places of the results, these results would be written there.
        for n in 100..116 {
            assert!(pool.apply(long, n).unwrap() == long(n), "result {n}");
        }
        for (n, handle) in handles.into_iter().enumerate() {
            assert!(handle.get().unwrap() == long(n), "result {n}");
        }
    });
}
