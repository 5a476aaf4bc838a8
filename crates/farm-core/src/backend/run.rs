//! Running one task, on the worker's side of the wire or of a thread.

use std::cell::Cell;

use crate::api::error::{Failure, Stage};
use crate::backend::panics::{self, Caught};
use crate::loan;
use crate::wire::codec::{CodecError, Form, Output};
use crate::wire::function::{Function, FunctionRef, Items, TaskFn};

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
/// The reference is one that [`Function::reference`] has given in this build. The argument is one
/// that [`prepare`](crate::backend::prepare::prepare) or [`encode_call`] has made, whole, and what it lends is lent to nobody else until this
/// call has returned: bytes behind the argument decide which memory its handles of shared arrays lead to.
pub unsafe fn run(
    reference: FunctionRef,
    argument: &[u8],
    result: &mut Vec<u8>,
) -> Result<Form, Failure> {
    let mut output = Output::from(std::mem::take(result));
    // SAFETY: as the caller promises.
    let outcome = unsafe { run_to(reference, argument, &mut output) };
    *result = output.into_heap();
    outcome
}

/// As [`run`], with the result in `output`.
///
/// # Errors
///
/// As [`run`].
///
/// # Safety
///
/// As for [`run`].
pub unsafe fn run_to(
    reference: FunctionRef,
    argument: &[u8],
    output: &mut Output<'_>,
) -> Result<Form, Failure> {
    output.clear();
    // SAFETY: the caller promises it.
    let function = unsafe { find(reference) }?;
    let outcome = as_a_task(|| function.call(argument, output));
    let handles = loan::take_escaped();
    if !handles.is_empty() {
        return Err(Failure::Escaped { handles });
    }
    outcome?.map_err(Failure::from)
}

/// Runs the function that `reference` names on each of the items; `room` is used again and again.
///
/// # Safety
///
/// As with [`run`].
pub unsafe fn run_each(reference: FunctionRef, items: &mut dyn Items, room: &mut Vec<u8>) {
    // SAFETY: the caller promises it.
    let function = match unsafe { find(reference) } {
        Ok(function) => function,
        Err(failure) => {
            while items.take_up().is_some() {
                items.failed(failure.clone());
            }
            return;
        }
    };
    let mut output = Output::from(std::mem::take(room));
    loop {
        match as_a_task(|| function.call_each(items, &mut output)) {
            Ok(Ok(())) => break,
            Ok(Err(error)) => items.failed(error.into()),
            Err(failure) => items.failed(failure),
        }
    }
    *room = output.into_heap();
}

/// # Safety
///
/// The reference is one that [`Function::reference`] has given in this build.
#[inline]
unsafe fn find(reference: FunctionRef) -> Result<Function, Failure> {
    if inside_a_task() {
        let reason = "a task cannot run another".to_owned();
        return Err(Failure::Decode { stage: Stage::Argument, reason });
    }
    // SAFETY: the caller promises it.
    unsafe { reference.resolve() }.map_err(|error| match error {
        crate::wire::function::FunctionError::Unknown { offset } => Failure::Unknown { offset },
        crate::wire::function::FunctionError::Foreign { .. } => Failure::Unknown { offset: 0 },
    })
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        match error {
            CodecError::Encode(reason) => Self::Encode { stage: Stage::Result, reason },
            CodecError::Decode(reason) => Self::Decode { stage: Stage::Argument, reason },
        }
    }
}

/// Batcher `function` on `argument` as a task of this thread: for pools that share the master's memory.
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
