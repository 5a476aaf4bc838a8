//! What goes wrong in a task is an outcome of that task, and of nothing else.

use farm_core::Stage;
use farm_core::prelude::*;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Backend;

/// The place is the line in the task, the stack is the worker's.
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

/// `panic_any` with a number.
pub fn a_panic_whose_payload_is_no_string_is_told<B: Backend>() {
    fn odd_payload(x: u32) {
        std::panic::panic_any(x);
    }
    let pool = B::pool(1);
    let error = pool.apply(odd_payload, 7).unwrap_err();
    assert!(error.to_string().contains("not a string"), "{error}");
    pool.apply(drop::<u32>, 7).unwrap();
}

/// Refuses to cross, on the way out or on the way in.
#[derive(Debug)]
struct Stubborn(u8);

/// Encodes, but does not decode.
const ONE_WAY: u8 = 1;
/// Does not encode.
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

/// No hang, and no worker lost. A pool that encodes nothing has nothing to refuse.
pub fn what_cannot_be_encoded_or_decoded_is_an_error_twenty_times_in_a_row<B: Backend>() {
    fn take(item: Stubborn) -> u8 {
        item.0
    }
    fn give(kind: u8) -> Stubborn {
        Stubborn(kind)
    }
    // Much is encoded before it turns out.
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

/// Each error is larger than what a pipe or a socket holds.
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

/// A pool inside a task is refused by name, whatever the pool.
pub fn a_task_cannot_submit<B: Backend>() {
    fn inside(_: ()) -> bool {
        farm_core::backend::inside_a_task()
    }
    let pool = B::pool(1);
    assert!(pool.apply(inside, ()).unwrap());
    assert!(!farm_core::backend::inside_a_task(), "the master is not a task");
}

/// Whoever reads the error finds the task.
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
