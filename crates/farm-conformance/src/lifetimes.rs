//! The ends of tasks, handles and pools.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use farm_core::prelude::*;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Backend;
use crate::gate::{Gate, attempts_before, leave_mark};

/// Leaves a mark, then waits until the gate is open or removed.
fn pass((gate, mark): (PathBuf, usize)) -> usize {
    let _ = fs::write(gate.join(mark.to_string()), "");
    while gate.exists() && !gate.join("open").exists() {
        std::thread::yield_now();
    }
    mark
}

/// The number of [`Counted`] values that exist in this process.
static LIVING: AtomicI64 = AtomicI64::new(0);

#[derive(Debug)]
struct Counted(u8);

impl Counted {
    fn new(x: u8) -> Self {
        LIVING.fetch_add(1, Ordering::SeqCst);
        Self(x)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        LIVING.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(Self::new)
    }
}

/// No argument and no result is kept after the map, even if a task fails.
pub fn arguments_and_results_are_freed_when_map_returns<B: Backend>() {
    fn pick(item: Counted) -> Counted {
        assert!(item.0 != 99, "not this one");
        Counted::new(item.0)
    }
    let pool = B::pool(2);
    let results = pool.map(pick, (0..50).map(Counted::new)).unwrap();
    assert_eq!(LIVING.load(Ordering::SeqCst), 50, "the results, and nothing else");
    drop(results);
    assert_eq!(LIVING.load(Ordering::SeqCst), 0);
    pool.map(pick, (90..110).map(Counted::new)).unwrap_err();
    assert_eq!(LIVING.load(Ordering::SeqCst), 0);
}

/// A handle comes back from a timeout and can be waited for again.
pub fn a_timeout_expires_and_the_pool_still_works<B: Backend>() {
    if !B::CONCURRENT {
        let pool = B::pool(1);
        let handle = pool.submit(f64::sqrt, 4.0);
        assert_eq!(handle.get_timeout(Duration::ZERO).unwrap().unwrap(), 2.0);
        return;
    }
    let (pool, gate) = (B::pool(2), Gate::new());
    let handle = pool.submit(pass, (gate.0.clone(), 1));
    let handle = handle.get_timeout(Duration::from_millis(20)).unwrap_err();
    assert!(!handle.is_ready());
    let handle = handle.get_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(pool.apply(f64::sqrt, 4.0).unwrap(), 2.0, "the other worker is free");
    gate.open();
    assert_eq!(handle.get_timeout(Duration::MAX).unwrap().unwrap(), 1);
}

/// `terminate` cancels queued tasks. Running tasks end with their worker or, on threads, by
/// themselves.
pub fn terminate_with_ten_thousand_long_tasks_queued_is_prompt<B: Backend>() {
    let (pool, gate) = (B::pool(2), Gate::new());
    if !B::CONCURRENT {
        gate.open();
    }
    let handles: Vec<_> = (0..10_000).map(|n| pool.submit(pass, (gate.0.clone(), n % 4))).collect();
    if B::CONCURRENT {
        gate.wait_for_marks(2);
    }
    std::thread::scope(|scope| {
        // Threads cannot be killed: the two running tasks may finish once the last task is
        // cancelled.
        scope.spawn(|| {
            handles.last().expect("there are many").wait();
            gate.open();
        });
        pool.terminate();
    });
    let cancelled =
        handles.into_iter().filter(|h| h.is_ready()).filter_map(|h| h.get().err()).count();
    if B::CONCURRENT {
        assert!(cancelled >= 9_998, "only {cancelled} of 10000 were cancelled");
    }
}

/// `shutdown` runs every task that was submitted.
pub fn shutdown_waits_for_all_tasks<B: Backend>() {
    let (pool, gate) = (B::pool(2), Gate::new());
    let handles: Vec<_> = (0..20).map(|n| pool.submit(leave_mark, (gate.0.clone(), n))).collect();
    pool.shutdown();
    assert_eq!(gate.marks(), 20);
    assert!(handles.into_iter().all(|handle| handle.is_ready() && handle.get().is_ok()));
}

/// A task that no worker has can be cancelled, once.
pub fn a_cancelled_task_never_runs<B: Backend>() {
    if !B::CONCURRENT {
        let handle = B::pool(1).submit(f64::sqrt, 1.0);
        assert!(!handle.cancel(), "it is done already");
        return;
    }
    let (pool, gate) = (B::pool(1), Gate::new());
    let blocking: Vec<_> = (0..8).map(|_| pool.submit(pass, (gate.0.clone(), 0))).collect();
    let last = pool.submit(leave_mark, (gate.0.clone(), 1));
    assert!(last.cancel());
    assert!(!last.cancel(), "it has its outcome");
    let error = last.get().unwrap_err();
    assert!(matches!(error, TaskError::Cancelled { .. }), "{error}");
    gate.open();
    blocking.into_iter().for_each(|handle| assert_eq!(handle.get().unwrap(), 0));
    assert_eq!(pool.stats().cancelled, 1);
    pool.shutdown();
    assert_eq!(gate.marks(), 1, "the cancelled task has left no mark");
}

/// A handle that is dropped discards the result, but not the task.
pub fn dropping_a_handle_cancels_nothing<B: Backend>() {
    let (pool, gate) = (Arc::new(B::pool(1)), Gate::new());
    for n in 0..10 {
        drop(pool.submit(leave_mark, (gate.0.clone(), n)));
    }
    Arc::into_inner(pool).expect("one owner").shutdown();
    assert_eq!(gate.marks(), 10);
}

/// Any number of tasks can be queued while no thread waits for them.
pub fn a_hundred_thousand_tasks_wait_in_line<B: Backend>() {
    let pool = B::pool(2);
    let mut handles: Vec<_> = (0..100_000_u32).map(|n| pool.submit(f64::from, n)).collect();
    let last = handles.pop().expect("there are many");
    assert_eq!(last.get().unwrap(), 99_999.0);
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.get().unwrap(), f64::from(n));
    }
}

/// A panic is retried as often as requested, or the pool refuses the request.
pub fn a_panic_is_retried_on_request_or_the_request_is_refused<B: Backend>() {
    fn panic_at_first((gate, attempts): (PathBuf, usize)) -> usize {
        let before = attempts_before(gate);
        assert!(before >= attempts, "attempt {before}");
        before
    }
    let (pool, gate) = (B::pool(1), Gate::new());
    let options = TaskOptions::new().retries(3).retry_panics(true);
    let submit =
        |attempts| pool.submit_with(options.clone(), panic_at_first, (gate.0.clone(), attempts));
    match submit(2).get() {
        Ok(before) => {
            assert_eq!(before, 2);
            assert_eq!(pool.stats().retried, 2);
            let error = submit(usize::MAX).get().unwrap_err();
            assert!(matches!(error, TaskError::Panicked { .. }), "{error}");
            assert_eq!(gate.marks(), 3 + 4, "three retries are four attempts");
        }
        Err(error) => {
            assert!(matches!(error, TaskError::Unsupported { .. }), "{error}");
            assert_eq!(gate.marks(), 0);
        }
    }
    assert_eq!(pool.apply(f64::sqrt, 4.0).unwrap(), 2.0);
}
