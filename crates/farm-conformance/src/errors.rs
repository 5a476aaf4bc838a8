//! An error in a task is the outcome of that task, and affects nothing else.

use farm_core::Stage;
use farm_core::prelude::*;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Backend;

/// The error of a panic has the line in the task, and the worker's stack.
pub fn a_panic_carries_message_place_and_backtrace<B: Backend>() {
    fn refuse_zero(x: f64) -> f64 {
        assert!(x != 0.0, "{x} has no inverse");
        1.0 / x
    }
    let pool = B::pool(2);
    let error = pool.apply(refuse_zero, 0.0).unwrap_err();
    let TaskError::Panicked { message, location, backtrace, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(message, "0 has no inverse");
    assert!(location.as_ref().unwrap().contains("errors.rs:"), "{location:?}");
    assert!(backtrace.contains("refuse_zero"), "{backtrace}");
    assert_eq!(pool.apply(refuse_zero, 4.0).unwrap(), 0.25);
    assert_eq!(pool.stats().workers_lost, 0, "a panic costs no worker");
}

/// A panic whose payload is a number is reported.
pub fn a_panic_whose_payload_is_no_string_is_told<B: Backend>() {
    fn odd_payload(x: u32) {
        std::panic::panic_any(x);
    }
    let pool = B::pool(1);
    let error = pool.apply(odd_payload, 7).unwrap_err();
    assert!(error.to_string().contains("not a string"), "{error}");
    pool.apply(drop::<u32>, 7).unwrap();
}

/// A value that cannot be encoded, or cannot be decoded.
#[derive(Debug)]
struct Stubborn(u8);

/// Can be encoded, but not decoded.
const ONE_WAY: u8 = 1;
/// Cannot be encoded.
const NO_WAY: u8 = 2;

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            NO_WAY => Err(S::Error::custom("not out")),
            kind => kind.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            ONE_WAY => Err(D::Error::custom("not in")),
            kind => Ok(Self(kind)),
        }
    }
}

/// A value that cannot be encoded or decoded causes neither a hang nor the loss of a worker. A pool
/// that does not encode accepts every value.
pub fn what_cannot_be_encoded_or_decoded_is_an_error_twenty_times_in_a_row<B: Backend>() {
    fn take(item: Stubborn) -> u8 {
        item.0
    }
    fn give(kind: u8) -> Stubborn {
        Stubborn(kind)
    }
    // Much is encoded before the value is found to be invalid.
    type Behind = (Vec<(u8, u8)>, Stubborn);
    fn behind(kind: u8) -> Behind {
        (vec![(1, 2); 50_000], Stubborn(kind))
    }
    fn take_behind(items: Behind) -> u8 {
        items.1.0
    }
    let pool = B::pool(2);
    for _ in 0..20 {
        let outcomes = [
            (pool.apply(take, Stubborn(NO_WAY)).map(|_| ()), "Encode", Stage::Argument),
            (pool.apply(take, Stubborn(ONE_WAY)).map(|_| ()), "Decode", Stage::Argument),
            (pool.apply(give, NO_WAY).map(|_| ()), "Encode", Stage::Result),
            (pool.apply(give, ONE_WAY).map(|_| ()), "Decode", Stage::Result),
            (pool.apply(take_behind, behind(NO_WAY)).map(|_| ()), "Encode", Stage::Argument),
            (pool.apply(take_behind, behind(ONE_WAY)).map(|_| ()), "Decode", Stage::Argument),
            (pool.apply(behind, NO_WAY).map(|_| ()), "Encode", Stage::Result),
            (pool.apply(behind, ONE_WAY).map(|_| ()), "Decode", Stage::Result),
        ];
        for (outcome, kind, which) in outcomes {
            if !B::ENCODES {
                outcome.unwrap();
                continue;
            }
            match outcome.unwrap_err() {
                TaskError::Encode { stage, .. } => assert_eq!((kind, which), ("Encode", stage)),
                TaskError::Decode { stage, .. } => assert_eq!((kind, which), ("Decode", stage)),
                other => panic!("{other}"),
            }
        }
        assert_eq!(pool.apply(take, Stubborn(9)).unwrap(), 9);
        assert_eq!(pool.apply(behind, 9).unwrap().0.len(), 50_000);
    }
    assert_eq!(pool.stats().workers_lost, 0);
}

/// A pool with many unread errors ends, though each error is larger than a pipe or a socket can
/// hold.
pub fn large_errors_from_every_task_do_not_block_the_end<B: Backend>() {
    fn complain(x: usize) {
        panic!("{}", "x".repeat(1_000_000 + x));
    }
    let pool = B::pool(2);
    let handles: Vec<_> = (0..40).map(|x| pool.submit(complain, x)).collect();
    for (x, handle) in handles.into_iter().enumerate().take(3) {
        match handle.get().unwrap_err() {
            TaskError::Panicked { message, .. } => assert_eq!(message.len(), 1_000_000 + x),
            other => panic!("{other}"),
        }
    }
    pool.shutdown();
}

/// Every pool marks the thread of a task, so that a submission from inside a task is refused.
pub fn a_task_cannot_submit<B: Backend>() {
    fn inside(_: ()) -> bool {
        farm_core::backend::inside_a_task()
    }
    let pool = B::pool(1);
    assert!(pool.apply(inside, ()).unwrap());
    assert!(!farm_core::backend::inside_a_task(), "the master is not a task");
}

/// An error names the function, the item and the label of its task.
pub fn errors_name_the_function_the_item_and_the_label<B: Backend>() {
    fn always_fails(x: u64) -> u64 {
        assert!(x > 1000, "too small");
        x
    }
    let pool = B::pool(1);
    let labelled = TaskOptions::new().label("north plate");
    let error = pool.submit_with(labelled, always_fails, 1).get().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("always_fails") && text.contains("(north plate)"), "{text}");
    assert!(text.ends_with("too small"), "{text}");
    let error = pool.map(always_fails, [2000, 1]).unwrap_err();
    assert!(error.to_string().contains("on item 1"), "{error}");
}
