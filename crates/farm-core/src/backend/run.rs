//! Runs one task, in a worker process or on a thread of the master.

use std::cell::Cell;

use crate::api::error::{Failure, Stage};
use crate::backend::panics::{self, Caught};
use crate::loan;
use crate::wire::codec::{CodecError, Form, Output};
use crate::wire::function::{Function, FunctionRef, Items, TaskFn};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether this thread is running a task.
///
/// A task must neither make a pool nor submit to one: only the master ever waits for a worker, so a
/// farm cannot deadlock.
pub fn inside_a_task() -> bool {
    INSIDE.get()
}

/// Calls the function that `reference` names with an encoded argument, and puts the encoded result
/// into `result`, whose memory is used again.
///
/// # Errors
///
/// The reason why the task has not returned, for example a panic; `result` then holds nothing of
/// use. [`Failure::Escaped`] has priority over all other failures. A process that runs tasks for a
/// master must end after it, because the task still holds what the master lends to others next.
///
/// # Safety
///
/// `reference` must be one that [`Function::reference`] has returned in this build. `argument` must
/// be whole, and one that [`prepare`](crate::backend::prepare::prepare) or [`encode_call`] has
/// made. What it lends must be lent to nothing else until this call has returned: the bytes behind
/// the argument decide which memory its handles of shared arrays lead to.
///
/// [`encode_call`]: crate::backend::encode_argument::encode_call
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

/// Does the same as [`run`], and puts the result into `output`.
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
    // SAFETY: as the caller promises.
    let function = unsafe { find(reference) }?;
    let outcome = as_a_task(|| function.call(argument, output));
    let handles = loan::take_escaped();
    if !handles.is_empty() {
        return Err(Failure::Escaped { handles });
    }
    outcome?.map_err(Failure::from)
}

/// Calls the function that `reference` names with each of the items; `room` is memory for their
/// results, which is used again.
///
/// # Safety
///
/// As for [`run`], for the argument of each item.
pub unsafe fn run_each(reference: FunctionRef, items: &mut dyn Items, room: &mut Vec<u8>) {
    // SAFETY: as the caller promises.
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

/// Finds the function that `reference` names.
///
/// # Safety
///
/// The reference must be one that [`Function::reference`] has returned in this build.
#[inline]
unsafe fn find(reference: FunctionRef) -> Result<Function, Failure> {
    if inside_a_task() {
        let reason = "a task cannot run another".to_owned();
        return Err(Failure::Decode { stage: Stage::Argument, reason });
    }
    // SAFETY: as the caller promises.
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

/// Calls `function` with `argument` as a task of this thread, for pools that share the master's
/// memory.
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
