//! `map` and the related methods.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use farm_core::backend::{Backend as _, Batching};
use farm_core::prelude::*;

use serde::{Deserialize, Serialize};

use crate::Backend;

fn square(x: u64) -> u64 {
    x * x
}

/// An empty input gives an empty result at once.
pub fn empty_input_gives_an_empty_result<B: Backend>() {
    let pool = B::pool(2);
    assert_eq!(pool.map(square, []).unwrap(), [0_u64; 0]);
    assert!(pool.map_each(square, []).is_empty());
    pool.for_each(drop::<u64>, []).unwrap();
    pool.shutdown();
}

/// `distribute` is the free function with one part for each worker.
pub fn distribute_cuts_for_the_workers_of_the_pool<B: Backend>() {
    let pool = B::pool(3);
    assert_eq!(pool.workers(), 3);
    assert!(pool.distribute(0).is_empty());
    assert_eq!(pool.distribute(7), [0..3, 3..5, 5..7]);
    assert_eq!(pool.distribute(2), [0..1, 1..2]);
}

/// A map may have fewer items than there are workers.
pub fn more_workers_than_items<B: Backend>() {
    let pool = B::pool(5);
    assert_eq!(pool.map(square, [3]).unwrap(), [9]);
    assert_eq!(pool.map(square, [3, 4]).unwrap(), [9, 16]);
}

/// An input may have more items than tasks may be in flight.
pub fn more_items_than_are_kept_in_flight<B: Backend>() {
    let pool = B::pool(2);
    let n = 3 * pool.in_flight() as u64 + 7;
    let expected: Vec<_> = (0..n).map(square).collect();
    assert_eq!(pool.map(square, 0..n).unwrap(), expected);
}

/// Results have the order of the items, in whatever order the tasks finish.
pub fn results_are_in_the_order_of_the_items<B: Backend>() {
    fn uneven(x: u64) -> u64 {
        let turns = if x.is_multiple_of(7) { 200_000 } else { 10 };
        (0..turns).fold(x, |a, _| std::hint::black_box(a ^ 1) ^ 1)
    }
    let pool = B::pool(3);
    let items: Vec<_> = (0..500).collect();
    assert_eq!(pool.map(uneven, items.clone()).unwrap(), items);
}

fn odd_fails(x: u64) -> u64 {
    assert!(x.is_multiple_of(2), "{x} is odd");
    x
}

/// Item 3 fails late and item 5 early; the error of item 3 is returned.
pub fn the_error_of_the_lowest_index_is_returned<B: Backend>() {
    fn three_is_slow_to_fail(x: u64) -> u64 {
        if x == 3 {
            (0..1_000_000).fold(x, |a, _| std::hint::black_box(a ^ 1) ^ 1);
        }
        assert!(x != 3 && x != 5, "no {x}");
        x
    }
    let pool = B::pool(3);
    for _ in 0..5 {
        let error = pool.map(three_is_slow_to_fail, 0..50).unwrap_err();
        assert_eq!(error.task().item, Some(3), "{error}");
        assert!(matches!(&error, TaskError::Panicked { message, .. } if message == "no 3"));
    }
    assert_eq!(pool.map(square, [2]).unwrap(), [4], "the pool is still usable");
}

/// `map_each` returns results and errors, each in its place.
pub fn map_each_returns_every_outcome<B: Backend>() {
    let pool = B::pool(2);
    let outcomes = pool.map_each(odd_fails, 0..20);
    assert_eq!(outcomes.len(), 20);
    for (x, outcome) in (0..).zip(outcomes) {
        match outcome {
            Ok(y) => assert_eq!((y, x % 2), (x, 0)),
            Err(error) => {
                assert_eq!(error.task().item, Some(x as usize));
                assert!(error.to_string().contains(&format!("{x} is odd")), "{error}");
            }
        }
    }
}

/// `for_each` reports errors as `map` does.
pub fn for_each_does_every_item<B: Backend>() {
    fn check(x: u64) {
        odd_fails(x);
    }
    let pool = B::pool(2);
    pool.for_each(check, (0..100).map(|x| 2 * x)).unwrap();
    assert_eq!(pool.stats().completed, 100);
    let error = pool.for_each(check, [0, 2, 5, 7]).unwrap_err();
    assert_eq!(error.task().item, Some(2));
}

/// An input that panics, at item 0, in the middle, and twice in a row, leaves the pool usable.
pub fn an_input_that_panics_reaches_the_caller_and_leaves_the_pool_usable<B: Backend>() {
    let pool = B::pool(2);
    for bad in [0_u64, 400, 400] {
        let input = (0..1000).inspect(|x| {
            // `resume_unwind` panics without a report on stderr.
            if *x == bad {
                std::panic::resume_unwind(Box::new("the input ends badly"));
            }
        });
        let caught = catch_unwind(AssertUnwindSafe(|| pool.map(square, input))).unwrap_err();
        assert_eq!(caught.downcast_ref(), Some(&"the input ends badly"));
        assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
    }
}

/// An item is taken from the input only when there is room for its task.
pub fn an_endless_input_is_not_taken_far_ahead<B: Backend>() {
    let pool = B::pool(2);
    let taken = AtomicUsize::new(0);
    let endless = (0_u64..).inspect(|_| {
        taken.fetch_add(1, Ordering::Relaxed);
    });
    let error = pool.map(odd_fails, endless).unwrap_err();
    assert_eq!(error.task().item, Some(1));
    let taken = taken.into_inner();
    let most = pool.batching().map_or(pool.in_flight(), Batching::ahead);
    assert!(taken <= most + 2, "{taken} items were taken to reach the second");
}

/// The number of items between an endless input and a slow reader is bounded at all times.
pub fn imap_keeps_a_bounded_number_between_its_input_and_its_reader<B: Backend>() {
    let pool = B::pool(2);
    let taken = Cell::new(0_u64);
    let endless = (0_u64..).inspect(|_| taken.set(taken.get() + 1));
    let mut outcomes = pool.imap(square, endless);
    assert_eq!(taken.get(), 0, "no item is taken before the first outcome is asked for");
    for n in 0..50_000 {
        assert_eq!(outcomes_next(&mut outcomes), n * n);
        let between = taken.get() - n;
        assert!(between <= pool.in_flight() as u64, "{between} items after outcome {n}");
    }
    drop(outcomes);
    let stats = pool.stats();
    assert_eq!(stats.submitted, taken.get());
    assert_eq!(stats.completed + stats.cancelled, taken.get(), "no task outlives its iterator");
}

fn outcomes_next(outcomes: &mut impl Iterator<Item = Result<u64, TaskError>>) -> u64 {
    outcomes.next().expect("it is endless").expect("no task fails")
}

/// `imap` yields every outcome, with errors in their places, as `map_each` does.
pub fn imap_goes_on_after_an_error<B: Backend>() {
    let pool = B::pool(2);
    let good = pool.imap(odd_fails, 0..50).filter_map(Result::ok);
    assert!(good.eq((0..50).step_by(2)));
}

/// The number of [`Permit`]s.
const PERMITS: usize = 8;
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// A permit to produce an item. It is returned when it is dropped in the process that took it.
#[derive(Default)]
struct Permit(bool);

impl Permit {
    fn take() -> Self {
        while TAKEN.load(Ordering::Acquire) == PERMITS {
            std::thread::yield_now();
        }
        TAKEN.fetch_add(1, Ordering::AcqRel);
        Self(true)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.0 {
            TAKEN.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Permitted(u64, #[serde(skip)] Permit);

fn square_if_permitted(Permitted(x, permit): Permitted) -> u64 {
    drop(permit);
    x * x
}

/// An item is dropped as soon as it has been sent, so an input may wait for that.
pub fn an_input_may_wait_until_earlier_items_are_dropped<B: Backend>() {
    let pool = B::pool(2);
    let items = (0..20_000).map(|x| Permitted(x, Permit::take()));
    let results = pool.map(square_if_permitted, items).unwrap();
    assert!(results.into_iter().eq((0..20_000).map(|x| x * x)));
}

fn panic_in_several_ways(n: u32) -> u32 {
    match n % 3 {
        0 => catch_unwind(|| panic!("caught by its task")).map_or(n, |()| 0),
        1 => n,
        _ => std::panic::resume_unwind(Box::new("past the hook")),
    }
}

/// A panic that bypassed the panic hook has no location, and does not get that of an earlier panic.
pub fn a_panic_is_not_told_with_the_place_of_another<B: Backend>() {
    let pool = B::pool(1);
    for (n, outcome) in (0..).zip(pool.map_each(panic_in_several_ways, 0..60)) {
        match outcome {
            Ok(found) => assert!(found == n && n % 3 < 2),
            Err(TaskError::Panicked { message, location, .. }) => {
                assert_eq!((n % 3, &*message, location), (2, "past the hook", None));
            }
            Err(other) => panic!("{other}"),
        }
    }
}
