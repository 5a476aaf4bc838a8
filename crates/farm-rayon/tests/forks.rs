//! A fork of the program does not have the threads of the pool. Tasks that it submits are refused
//! at once, and the pool goes on in the program.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_rayon::Pool;

fn square(x: u64) -> u64 {
    x * x
}

/// Forks. The child runs `body`, and is killed if that takes 20 seconds. The parent waits for the
/// end of the child.
fn in_a_fork(body: impl FnOnce()) {
    // SAFETY: the calls of the child need no other thread. That the pool makes sure of this is what
    // is tested here.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: the call affects only the child, which has no handler for SIGALRM.
            unsafe { libc::alarm(20) };
            let is_well = catch_unwind(AssertUnwindSafe(body)).is_ok();
            // SAFETY: the call ends the child, and does nothing else.
            unsafe { libc::_exit(i32::from(!is_well)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: the pointer is to a value that lives through the call.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0, "the child has ended well");
        }
    }
}

fn is_refused<R>(outcome: Result<R, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::NoWorkers { reason, .. }) if reason.contains("is a fork"))
}

fn pool() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

#[test]
fn a_fork_of_the_program_leaves_the_pool_to_it() {
    guard("a_fork_of_the_program_leaves_the_pool_to_it", || {
        let ends: [fn(Pool); 3] = [drop, Farm::shutdown, Farm::terminate];
        for end in ends {
            let pool = pool();
            assert_eq!(pool.apply(square, 2).unwrap(), 4);
            let mut pool = Some(pool);
            in_a_fork(|| {
                let pool = pool.take().unwrap();
                assert!(is_refused(pool.apply(square, 3)));
                assert!(is_refused(pool.map(square, 0..100)));
                assert!(pool.imap(square, 0..100).all(is_refused));
                end(pool);
                let own = self::pool();
                assert_eq!(own.map(square, 0..3).unwrap(), [0, 1, 4], "a pool of the child's own");
            });
            let pool = pool.unwrap();
            assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
        }
    });
}

/// Two threads meet here: the thread of the pool, which runs the task that waits here, and the
/// thread of the test.
static OPEN: Barrier = Barrier::new(2);

fn wait_until_open(x: u64) -> u64 {
    OPEN.wait();
    x
}

#[test]
fn a_handle_in_a_fork_says_that_nothing_comes() {
    guard("a_handle_in_a_fork_says_that_nothing_comes", || {
        let pool = pool();
        let first = pool.submit(wait_until_open, 1);
        let handles: Vec<_> = (0..5).map(|x| pool.submit(square, x)).collect();
        let mut both = Some((pool, handles));
        in_a_fork(|| {
            let (pool, handles) = both.take().unwrap();
            let mut handles = handles.into_iter();
            let mut next = || handles.next().unwrap();
            let first = next();
            assert!(!first.cancel(), "it is not this process's to cancel");
            assert!(is_refused(first.get()));
            assert!(is_refused(next().get_timeout(Duration::from_secs(50)).unwrap()));
            let mut awaited = next();
            let polled = Pin::new(&mut awaited).poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled.map(is_refused), Poll::Ready(true)));
            drop(next());
            drop(pool);
            assert!(is_refused(next().get()));
        });
        OPEN.wait();
        let (pool, handles) = both.unwrap();
        assert_eq!(first.get().unwrap(), 1);
        for (x, handle) in (0..).zip(handles) {
            assert_eq!(handle.get().unwrap(), x * x);
        }
        assert_eq!((pool.stats().completed, pool.stats().cancelled), (6, 0));
    });
}
