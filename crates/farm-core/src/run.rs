//! Running one task, on the worker's side of the wire or of a thread.

use std::cell::Cell;

use serde::Serialize;

use crate::codec::{self, CodecError};
use crate::panics::{self, Caught};
use crate::passenger::{Crossing, Passengers, cross, escaped};
use crate::{Failure, FunctionRef, TaskFn};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is running a task. A task must not make a pool or submit to one: only the master
/// ever waits for a worker, so that a farm cannot deadlock.
pub fn inside_a_task() -> bool {
    INSIDE.get()
}

/// Runs the function that `reference` names on an encoded argument; the encoded result is left in
/// `result`, whose room is used again.
///
/// # Errors
///
/// What kept the task from returning, a panic included. `result` then holds nothing of use.
/// [`Failure::Escaped`] comes before all other failures: whoever runs tasks for a master must then end, since
/// what the master lends next is still in somebody's hands here.
pub fn run(reference: FunctionRef, argument: &[u8], result: &mut Vec<u8>) -> Result<(), Failure> {
    result.clear();
    let function = reference.resolve().map_err(|error| match error {
        crate::FunctionError::Unknown { offset } => Failure::Unknown { offset },
        crate::FunctionError::Foreign { .. } => Failure::Unknown { offset: 0 },
    })?;
    let outcome = as_a_task(|| function.call(argument, result));
    let handles = escaped();
    if !handles.is_empty() {
        return Err(Failure::Escaped { handles });
    }
    outcome?.map_err(|error| match error {
        CodecError::Encode(reason) => Failure::Encode(reason),
        CodecError::Decode(reason) => Failure::Decode(reason),
    })
}

/// Calls `function` on `argument` as a task of this thread: for pools that share the master's memory.
///
/// # Errors
///
/// [`Failure::Panicked`] if it panics.
pub fn call<A, R, F: TaskFn<A, R>>(function: F, argument: A) -> Result<R, Failure> {
    as_a_task(move || function(argument))
}

fn as_a_task<T>(body: impl FnOnce() -> T) -> Result<T, Failure> {
    let outer = INSIDE.replace(true);
    let result = panics::catch(body);
    INSIDE.set(outer);
    result.map_err(|Caught { message, location, backtrace }| Failure::Panicked {
        message,
        location,
        backtrace,
    })
}

/// Encodes an argument in the master, and collects the arrays that travel beside it.
pub(crate) fn encode_argument<A: Serialize>(
    argument: &A,
    repeatable: bool,
) -> Result<(Vec<u8>, Passengers), CodecError> {
    let way = Crossing::ArgumentOut { repeatable };
    panics::catch(|| cross(way, Passengers::default(), || codec::encode(argument)))
        .map_err(|caught| {
            CodecError::Encode(format!("its `Serialize` panicked: {}", caught.message))
        })
        .and_then(|(bytes, passengers)| Ok((bytes?, passengers)))
}

/// Decodes a result in the master, and gives the arrays that come back with it their owners.
pub(crate) fn decode_result<R: serde::de::DeserializeOwned>(
    bytes: &[u8],
    passengers: Passengers,
) -> Result<R, CodecError> {
    panics::catch(|| cross(Crossing::ResultIn, passengers, || codec::decode(bytes)).0)
        .unwrap_or_else(|caught| {
            Err(CodecError::Decode(format!("its `Deserialize` panicked: {}", caught.message)))
        })
}
