//! Wakers are code of the program: they may wait for other tasks, end the pool, or panic.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use farm_core::Data;
use farm_core::prelude::*;

use crate::Backend;
use crate::gate::Gate;

/// A waker that calls a function.
struct Call<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Call<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Arc::new(Call(call)).into()
}

fn poll<R: Data>(handle: &mut TaskHandle<R>, waker: &Waker) -> Poll<Result<R, TaskError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

fn square(x: u64) -> u64 {
    x * x
}

/// A task that returns when its gate is open.
fn wait_at((gate, x): (PathBuf, u64)) -> u64 {
    while !gate.join("open").exists() {
        std::thread::yield_now();
    }
    x
}

/// Many wakers at once may each wait for another task of the same pool, which has one worker.
pub fn a_waker_may_wait_for_other_tasks_of_its_pool<B: Backend>() {
    if !B::CONCURRENT {
        return;
    }
    let (pool, gate) = (Arc::new(B::pool(1)), Gate::new());
    let (send, results) = channel();
    let wait = |x: u64| {
        let mut handle = pool.submit(wait_at, (gate.0.clone(), x));
        let (ours, send) = (pool.clone(), Mutex::new(send.clone()));
        let ask = move || {
            let square = ours.apply(square, x).expect("the task does not fail");
            let _ = send.lock().expect("no panic").send(square);
        };
        assert!(poll(&mut handle, &waker(ask)).is_pending());
        handle
    };
    let handles: Vec<_> = (0..8).map(wait).collect();
    gate.open();
    let mut squares: Vec<_> = results.iter().take(8).collect();
    squares.sort_unstable();
    assert!(squares.into_iter().eq((0..8).map(square)));
    for (x, handle) in (0..).zip(handles) {
        assert_eq!(handle.get().unwrap(), x);
    }
}

/// A waker may be the last owner of its pool.
pub fn a_waker_may_end_its_pool<B: Backend>() {
    if !B::CONCURRENT {
        return;
    }
    let (pool, gate) = (Arc::new(Mutex::new(None)), Gate::new());
    let (ended, has_ended) = channel();
    let ended = Mutex::new(ended);
    let ours = pool.clone();
    let end = waker(move || {
        drop::<Option<B::Pool>>(ours.lock().expect("no panic").take());
        let _ = ended.lock().expect("no panic").send(());
    });
    let made = B::pool(1);
    let mut first = made.submit(wait_at, (gate.0.clone(), 1));
    let later = made.submit(wait_at, (gate.0.clone(), 2));
    assert!(poll(&mut first, &end).is_pending());
    *pool.lock().expect("no panic") = Some(made);
    gate.open();
    has_ended.recv().expect("it is woken");
    assert_eq!(first.get().unwrap(), 1);
    let later = later.get();
    assert!(matches!(later, Ok(2) | Err(TaskError::Cancelled { .. })), "{later:?}");
}

/// A panic of a waker affects no other waker and no task.
pub fn wakers_that_panic_harm_nobody<B: Backend>() {
    if !B::CONCURRENT {
        return;
    }
    let (pool, gate) = (B::pool(1), Gate::new());
    let bad = waker(|| std::panic::resume_unwind(Box::new("a bad waker")));
    let mut handles: Vec<_> = (0..20).map(|x| pool.submit(wait_at, (gate.0.clone(), x))).collect();
    for handle in &mut handles {
        assert!(poll(handle, &bad).is_pending());
    }
    gate.open();
    for (x, handle) in (0..).zip(handles) {
        assert_eq!(handle.get().unwrap(), x);
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

/// A handle gives its outcome once; asking again is an error and not a panic.
pub fn a_handle_that_has_given_its_outcome_says_so<B: Backend>() {
    let pool = B::pool(1);
    let given = || {
        let mut handle = pool.submit(square, 3);
        handle.wait();
        assert!(matches!(poll(&mut handle, Waker::noop()), Poll::Ready(Ok(9))));
        handle
    };
    let is_told = |outcome| matches!(outcome, Err(TaskError::Taken { .. }));
    let mut handle = given();
    assert!(handle.is_ready() && !handle.cancel());
    for _ in 0..2 {
        let Poll::Ready(outcome) = poll(&mut handle, Waker::noop()) else { panic!("it is ready") };
        assert!(is_told(outcome));
    }
    assert!(is_told(handle.get()));
    assert!(is_told(given().get_timeout(Duration::ZERO).unwrap()));
    let error = given().get().unwrap_err().to_string();
    assert!(error.contains("square") && error.contains("polled"), "{error}");
    assert_eq!(pool.apply(square, 4).unwrap(), 16);
}

/// One thread waits for a thousand tasks at once.
pub fn many_tasks_are_awaited_together<B: Backend>() {
    let pool = B::pool(2);
    let (send, woken): (Sender<usize>, _) = channel();
    let send = Arc::new(Mutex::new(send));
    let mut handles: Vec<_> = (0..1000).map(|x| Some(pool.submit(square, x))).collect();
    let wakers = (0..handles.len()).map(|n| {
        let send = send.clone();
        waker(move || {
            let _ = send.lock().expect("no panic").send(n);
        })
    });
    let wakers: Vec<_> = wakers.collect();
    let mut left = handles.len();
    let mut look = |n: usize| {
        let Some(handle) = &mut handles[n] else { return 0 };
        let Poll::Ready(outcome) = poll(handle, &wakers[n]) else { return 0 };
        assert_eq!(outcome.unwrap(), square(n as u64));
        handles[n] = None;
        1
    };
    left -= (0..left).map(&mut look).sum::<usize>();
    while left > 0 {
        left -= look(woken.recv().expect("somebody is woken"));
    }
}
