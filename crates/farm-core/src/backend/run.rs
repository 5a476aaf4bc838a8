//! Running one task, on the worker's side of the wire or of a thread.

use std::cell::Cell;
use std::collections::VecDeque;

use serde::Serialize;

use crate::api::error::{Failure, Stage};
use crate::backend::panics::{self, Caught};
use crate::backend::payload::Payload;
use crate::loan::{self, Grants, Loans, Phase, Register, in_phase, in_phase_without_loans};
use crate::wire::batch::Batch;
use crate::wire::codec::{self, CodecError, Form, Output, Setting};
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

/// Encodes an argument that holds no handles of shared arrays, as [`run`] takes it.
///
/// # Errors
///
/// As its `Serialize` says; also if there is a handle in it.
pub fn encode_call<A: Serialize>(argument: &A) -> Result<Vec<u8>, CodecError> {
    let mut output = Output::default();
    let form = codec::encode_value(argument, &mut output)?;
    Grants::default().append_to(&mut output, form)?;
    Ok(output.into_heap())
}

/// Encodes an argument in the master, and collects the arrays that travel beside it.
pub(crate) fn encode_argument<A: Serialize>(
    argument: &A,
    repeatable: bool,
    output: &mut Output<'_>,
) -> Result<Loans, CodecError> {
    let way = Phase::EncodeArgument { repeatable };
    let encode = || panics::catch(|| codec::encode_value(argument, output));
    let (encoded, Register { loans, grants }) = in_phase(way, Register::default(), encode);
    let form = encoded.unwrap_or_else(|caught| Err(failed_to_encode(&caught)))?;
    grants.append_to(output, form)?;
    Ok(loans)
}

/// Encodes arguments of many calls into a batch, until it holds `full` bytes or one of them has to go by itself: that is
/// left open in it, and is told with the loans that it has.
pub(crate) fn encode_each<'a, A: Serialize + 'a>(
    arguments: impl Iterator<Item = &'a A>,
    repeatable: bool,
    batch: &mut Batch,
    full: usize,
) -> Result<Option<Loans>, CodecError> {
    let way = Phase::EncodeArgument { repeatable };
    let encode = || {
        let setting = Setting::new();
        for argument in arguments {
            let before = batch.output().len();
            let form = setting.encode(argument, batch.output())?;
            let bytes = batch.output().len();
            if form == Form::Described || loan::has_registered() || bytes - before > full {
                return Ok(Some(form));
            }
            batch.output().put(&Grants::NOTHING);
            batch.close_item();
            if bytes >= full {
                break;
            }
        }
        Ok(None)
    };
    let encode = || panics::catch(encode);
    let (encoded, Register { loans, grants }) = in_phase(way, Register::default(), encode);
    let open = encoded.unwrap_or_else(|caught| Err(failed_to_encode(&caught)))?;
    let Some(form) = open else { return Ok(None) };
    grants.append_to(batch.output(), form)?;
    Ok(Some(loans))
}

fn failed_to_encode(caught: &Caught) -> CodecError {
    CodecError::Encode(format!("its `Serialize` panicked: {}", caught.message))
}

/// Decodes results of a batch in the master, one after the other by `decode`, until one fails. `next` gives `Some(None)`
/// for one that is missing.
pub(crate) fn decode_each<R, S>(
    decoded: &mut VecDeque<R>,
    mut next: impl FnMut() -> Option<Option<S>>,
    decode: impl Fn(&Setting, S) -> Result<R, CodecError>,
) -> Result<(), CodecError> {
    let missing = || CodecError::Decode("it is not among what has arrived".to_owned());
    let decode_all = || {
        let setting = Setting::new();
        while let Some(result) = next() {
            decoded.push_back(decode(&setting, result.ok_or_else(missing)?)?);
        }
        Ok(())
    };
    in_phase_without_loans(Phase::DecodeResult, || panics::catch(decode_all))
        .unwrap_or_else(|caught| Err(failed_to_decode(&caught)))
}

fn failed_to_decode(caught: &Caught) -> CodecError {
    CodecError::Decode(format!("its `Deserialize` panicked: {}", caught.message))
}

/// Decodes a result in the master, and gives the arrays that come back with it their owners.
pub(crate) fn decode_result<R: serde::de::DeserializeOwned>(
    result: &Payload,
    loans: Loans,
) -> Result<R, CodecError> {
    let decode = || panics::catch(|| codec::decode_value(result.source(), result.form()));
    let register = Register { loans, ..Register::default() };
    in_phase(Phase::DecodeResult, register, decode)
        .0
        .unwrap_or_else(|caught| Err(failed_to_decode(&caught)))
}
