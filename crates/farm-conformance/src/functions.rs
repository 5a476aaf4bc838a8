//! The functions and values that can be sent, and the threads that may send them.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;

use farm_core::Plain;
use farm_core::prelude::*;

use crate::Backend;

fn largest<T: PartialOrd + Copy>(items: Vec<T>) -> Option<T> {
    items.into_iter().reduce(|a, b| if b > a { b } else { a })
}

/// `fn` items, generic instances, library functions, closures, methods and tuples of arguments can
/// be sent.
pub fn every_kind_of_function_without_captures_can_be_sent<B: Backend>() {
    let pool = B::pool(2);
    assert_eq!(pool.map(f64::sqrt, [1.0, 4.0, 9.0]).unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(pool.apply(largest::<u8>, vec![3, 9, 4]).unwrap(), Some(9));
    assert_eq!(pool.apply(largest::<f64>, vec![]).unwrap(), None);
    assert_eq!(pool.apply(|(a, b): (u32, u32)| a + b, (2, 3)).unwrap(), 5);
    assert_eq!(pool.apply(<String as Length>::bytes_long, "naïve".to_owned()).unwrap(), 6);
    let texts = pool.map(|x: i32| format!("<{x}>"), -1..2).unwrap();
    assert_eq!(texts, ["<-1>", "<0>", "<1>"]);
    // A linker may merge the code of these functions, but they remain different functions.
    assert_eq!(pool.apply(|x: u32| x + 1, 1).unwrap(), 2);
    assert_eq!(pool.apply(|x: i32| x + 1, -2).unwrap(), -1);
}

trait Length {
    fn bytes_long(self) -> usize;
}

impl Length for String {
    fn bytes_long(self) -> usize {
        self.len()
    }
}

/// Values that are larger than any pipe or socket buffer arrive in both directions, many at a time.
pub fn large_arguments_and_results_arrive_whole<B: Backend>() {
    fn double(values: Plain<f64>) -> Plain<f64> {
        Plain(values.iter().map(|x| 2.0 * x).collect())
    }
    let pool = B::pool(2);
    for n in [0, 1, 2_047, 2_048, 2_049, 30_000, 1_000_000] {
        let values: Vec<f64> = (0..n).map(f64::from).collect();
        let doubled = pool.map(double, (0..6).map(|_| Plain(values.clone()))).unwrap();
        let expected: Vec<f64> = values.iter().map(|x| 2.0 * x).collect();
        assert!(doubled.iter().all(|result| result.0 == expected), "{n} numbers");
    }
}

/// The length of a value may become known only while it is encoded, for several values at a time.
pub fn long_values_grow_as_they_are_encoded<B: Backend>() {
    type Pairs = Vec<(u64, String)>;
    fn unchanged(pairs: Pairs) -> Pairs {
        pairs
    }
    let pool = &B::pool(2);
    std::thread::scope(|scope| {
        for n in [3_000, 30_000, 100_000] {
            scope.spawn(move || {
                let pairs: Pairs = (0..n).map(|x| (x << 20, format!("<{x}>"))).collect();
                for _ in 0..3 {
                    assert_eq!(pool.apply(unchanged, pairs.clone()).unwrap(), pairs);
                    let several = pool.map(unchanged, [vec![], pairs.clone(), pairs.clone()]);
                    assert_eq!(several.unwrap(), [vec![], pairs.clone(), pairs.clone()]);
                }
            });
        }
    });
}

/// A handle belongs to its task, so results can be read in any order.
pub fn submitted_tasks_answer_in_any_order_of_asking<B: Backend>() {
    let pool = B::pool(2);
    let mut handles: Vec<_> = (0..50).map(|x| (x, pool.submit(|x: u64| x * x, x))).collect();
    handles.sort_by_key(|(x, _)| x * 7919 % 50);
    for (x, handle) in handles {
        assert_eq!(handle.get().unwrap(), x * x);
    }
}

/// Unread results block no other task, however long they are and in whatever order they are read.
pub fn unread_results_hold_up_no_task<B: Backend>() {
    for (length, tasks) in [(100_000, 100_u32), (8 << 20, 12)] {
        let pool = B::pool(1);
        for (n, handle) in submit_long(&pool, length, tasks).into_iter().rev() {
            assert!(handle.get().unwrap() == vec![n as u8; length]);
        }
    }
}

/// A pool ends while its results are unread, and they can be read afterwards.
pub fn unread_results_hold_up_no_end_of_a_pool<B: Backend>() {
    for (length, tasks) in [(100_000, 100_u32), (8 << 20, 12)] {
        let pool = B::pool(2);
        let handles = submit_long(&pool, length, tasks);
        pool.shutdown();
        for (n, handle) in handles.into_iter().rev() {
            assert!(handle.get().unwrap() == vec![n as u8; length]);
        }
        let pool = B::pool(2);
        let handles = submit_long(&pool, length, tasks);
        handles[1].1.wait();
        drop(pool);
        for (n, handle) in handles {
            match handle.get() {
                Ok(result) => assert!(result == vec![n as u8; length]),
                Err(error) => assert!(matches!(error, TaskError::Cancelled { .. }), "{error}"),
            }
        }
    }
}

fn submit_long(pool: &impl Farm, length: usize, tasks: u32) -> Vec<(u32, TaskHandle<Vec<u8>>)> {
    let task = |(length, n): (usize, u32)| vec![n as u8; length];
    (0..tasks).map(|n| (n, pool.submit(task, (length, n)))).collect()
}

/// A handle can be awaited without any runtime, by a waker that unparks this thread.
pub fn a_handle_is_a_future<B: Backend>() {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let pool = B::pool(1);
    let mut future = pin!(pool.submit(f64::sqrt, 2.0));
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let root = loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => break outcome.unwrap(),
            Poll::Pending => std::thread::park(),
        }
    };
    assert_eq!(root, 2.0_f64.sqrt());
}

/// A pool is `Sync`, and each outcome reaches the thread that waits for it.
pub fn many_threads_submit_to_one_pool<B: Backend>() {
    let pool = B::pool(2);
    std::thread::scope(|scope| {
        for thread in 0..8_u64 {
            let pool = &pool;
            scope.spawn(move || {
                let items = thread * 1000..thread * 1000 + 200;
                let expected: Vec<_> = items.clone().map(|x| x + 1).collect();
                assert_eq!(pool.map(|x: u64| x + 1, items).unwrap(), expected);
            });
        }
    });
    assert_eq!(pool.stats().completed, 1600);
}
