//! Running one task, on the worker's side of the wire or of a thread.

use std::cell::Cell;

use serde::Serialize;

use crate::codec::{self, CodecError};
use crate::panics::{self, Caught};
use crate::passenger::{self, Crossing, Lendings, Luggage, Passengers, cross};
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
///
/// # Safety
///
/// The reference is one that [`Function::reference`](crate::Function::reference) has given in this build. The argument is one
/// that [`prepare`](crate::prepare) or [`encode_call`] has made, whole, and what it lends is lent to nobody else until this
/// call has returned: bytes behind the argument decide which memory its handles of shared arrays lead to.
pub unsafe fn run(
    reference: FunctionRef,
    argument: &[u8],
    result: &mut Vec<u8>,
) -> Result<(), Failure> {
    result.clear();
    if inside_a_task() {
        return Err(Failure::Decode("a task cannot run another".to_owned()));
    }
    // SAFETY: the caller has it from where the argument is from.
    let function = unsafe { reference.resolve() }.map_err(|error| match error {
        crate::FunctionError::Unknown { offset } => Failure::Unknown { offset },
        crate::FunctionError::Foreign { .. } => Failure::Unknown { offset: 0 },
    })?;
    let outcome = as_a_task(|| function.call(argument, result));
    let handles = passenger::escaped();
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
    result.map_err(|caught| {
        let Caught { message, location, backtrace } = *caught;
        Failure::Panicked { message, location, backtrace }
    })
}

/// Encodes an argument that holds no handles of shared arrays, as [`run`] takes it.
///
/// # Errors
///
/// As its `Serialize` says; also if there is a handle in it.
pub fn encode_call<A: Serialize>(argument: &A) -> Result<Vec<u8>, CodecError> {
    let mut bytes = codec::encode(argument)?;
    Lendings::default().append_to(&mut bytes)?;
    Ok(bytes)
}

/// Encodes an argument in the master, and collects the arrays that travel beside it.
pub(crate) fn encode_argument<A: Serialize>(
    argument: &A,
    repeatable: bool,
) -> Result<(Vec<u8>, Passengers), CodecError> {
    // Room for what is commonly sent, and what is behind it.
    let mut bytes = Vec::with_capacity(64);
    let passengers = encode_argument_into(argument, repeatable, &mut bytes)?;
    Ok((bytes, passengers))
}

/// Encodes an argument behind what `bytes` holds, which after an error holds that and maybe more.
pub(crate) fn encode_argument_into<A: Serialize>(
    argument: &A,
    repeatable: bool,
    bytes: &mut Vec<u8>,
) -> Result<Passengers, CodecError> {
    let way = Crossing::ArgumentOut { repeatable };
    let encode = || panics::catch(|| codec::encode_into(argument, bytes));
    let (encoded, Luggage { passengers, lendings }) = cross(way, Luggage::default(), encode);
    encoded.unwrap_or_else(|caught| {
        Err(CodecError::Encode(format!("its `Serialize` panicked: {}", caught.message)))
    })?;
    lendings.append_to(bytes)?;
    Ok(passengers)
}

/// Decodes a result in the master, and gives the arrays that come back with it their owners.
pub(crate) fn decode_result<R: serde::de::DeserializeOwned>(
    bytes: &[u8],
    passengers: Passengers,
) -> Result<R, CodecError> {
    let decode = || panics::catch(|| codec::decode(bytes));
    let luggage = Luggage { passengers, ..Luggage::default() };
    cross(Crossing::ResultIn, luggage, decode).0.unwrap_or_else(|caught| {
        Err(CodecError::Decode(format!("its `Deserialize` panicked: {}", caught.message)))
    })
}
