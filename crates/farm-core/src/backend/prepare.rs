//! Makes an encoded task from a function and its argument. This is the first step of every pool
//! whose workers do not share the master's memory.

use std::cell::Cell;
use std::mem::needs_drop;
use std::sync::Arc;

use serde::Serialize;

use crate::api::error::{Stage, TaskError};
use crate::api::handle::TaskHandle;
use crate::api::options::{Policy, TaskOptions};
use crate::backend::encode_argument::encode_argument;
use crate::backend::panics;
use crate::backend::payload::Payload;
use crate::backend::run::inside_a_task;
use crate::backend::slot::Slot;
use crate::backend::task::{Task, TaskName};
use crate::loan::Loans;
use crate::wire::codec::{CodecError, Encoded, Output, OutputBuffer};
use crate::wire::function::{Data, Function, FunctionRef, TaskFn};

const STILL_HELD: &str =
    "a band in it is still held elsewhere, or is in it twice; move it into the argument";

/// A task that is ready to be sent, and what stays with the master.
pub struct Prepared<R> {
    /// The task for the to-do list.
    pub task: Task,
    /// The slot to which the outcome is delivered.
    pub slot: Arc<Slot<R>>,
    /// The loans of the handles of shared arrays in the argument.
    pub loans: Loans,
}

/// Memory of a pool in which long arguments are encoded.
pub trait ArgumentArena: OutputBuffer {
    /// Makes a payload of the first `bytes` bytes of the room that [`OutputBuffer::room`] returned
    /// last.
    fn commit(&mut self, bytes: usize) -> Payload;
}

thread_local! {
    /// A buffer for encoding, kept from one call to the next. Short arguments are copied out of it.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Encodes a task, and drops its argument. The rights of the handles in the argument then belong to
/// the task.
///
/// # Errors
///
/// The handle of a task that has already failed: the argument cannot be encoded, the function
/// cannot be sent, the `Drop` of the argument panics, a band in it is still held elsewhere, or the
/// caller is a task itself.
pub fn prepare<A, R, F>(
    options: &TaskOptions,
    function: F,
    argument: A,
) -> Result<Prepared<R>, TaskHandle<R>>
where
    A: Data,
    R: Data,
    F: TaskFn<A, R>,
{
    prepare_in(None, options, function, argument)
}

/// Does the same as [`prepare`], and encodes a long argument in `arena`.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_in<A, R, F>(
    arena: Option<&mut dyn ArgumentArena>,
    options: &TaskOptions,
    function: F,
    argument: A,
) -> Result<Prepared<R>, TaskHandle<R>>
where
    A: Data,
    R: Data,
    F: TaskFn<A, R>,
{
    let function = Function::of(function);
    let task = Arc::new(TaskName::new(function, options));
    let fail = |error| TaskHandle::failed(error);
    if inside_a_task() {
        return Err(fail(TaskError::Nested { task }));
    }
    let reference = function
        .reference()
        .map_err(|source| fail(TaskError::Function { task: task.clone(), source }))?;
    let policy = options.policy();
    let room = ROOM.try_with(Cell::take).unwrap_or_default();
    let (encoding, encoded) = encode_in(arena, room, &argument, policy.retries > 0);
    let dropped = drop_contained(argument);
    let payload = match encoding {
        Encoding::Heap(mut bytes) if bytes.len() <= Payload::SMALL => {
            let payload = Payload::from(&bytes[..]);
            if bytes.capacity() <= MOST_ROOM {
                bytes.clear();
                let _ = ROOM.try_with(|room| room.set(bytes));
            }
            payload
        }
        other => other.into(),
    };
    complete(task, reference, policy, encoded.map(|loans| (payload, loans)), dropped)
}

/// The largest capacity, in bytes, of a buffer that is kept.
const MOST_ROOM: usize = 1024;

/// Where an encoded argument is.
pub(crate) enum Encoding {
    Heap(Vec<u8>),
    Placed(Payload),
}

impl From<Encoding> for Payload {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Heap(bytes) => bytes.into(),
            Encoding::Placed(payload) => payload,
        }
    }
}

/// Encodes an argument behind the bytes of `heap`, or in the arena if it is long.
pub(crate) fn encode_in<A: Serialize>(
    mut arena: Option<&mut dyn ArgumentArena>,
    heap: Vec<u8>,
    argument: &A,
    repeatable: bool,
) -> (Encoding, Result<Loans, CodecError>) {
    let mut output =
        Output::new(heap, arena.as_deref_mut().map(|arena| arena as &mut dyn OutputBuffer));
    let encoded = encode_argument(argument, repeatable, &mut output);
    let encoding = match (output.finish(), arena) {
        (Encoded::Buffered(bytes), Some(arena)) => Encoding::Placed(arena.commit(bytes)),
        (Encoded::Heap(bytes), _) => Encoding::Heap(bytes),
        (Encoded::Buffered(_), None) => unreachable!("there is no buffer"),
    };
    (encoding, encoded)
}

/// Drops an argument that has been encoded. A panic of its `Drop` is returned as an error.
pub(crate) fn drop_contained<A>(argument: A) -> Result<(), String> {
    if !needs_drop::<A>() {
        return Ok(());
    }
    panics::catch(|| drop(argument))
        .map_err(|caught| format!("its `Drop` panicked: {}", caught.message))
}

/// Makes a task of an argument that has been encoded and dropped.
pub(crate) fn complete<R: Data>(
    task: Arc<TaskName>,
    function: FunctionRef,
    policy: Policy,
    encoded: Result<(Payload, Loans), CodecError>,
    dropped: Result<(), String>,
) -> Result<Prepared<R>, TaskHandle<R>> {
    let refuse = |reason| {
        TaskHandle::failed(TaskError::Encode { task: task.clone(), stage: Stage::Argument, reason })
    };
    dropped.map_err(refuse)?;
    let (argument, mut loans) = encoded.map_err(|error| {
        let (CodecError::Encode(reason) | CodecError::Decode(reason)) = error;
        refuse(reason)
    })?;
    if !loans.are_unique() {
        return Err(refuse(STILL_HELD.to_owned()));
    }
    Ok(Prepared {
        slot: Arc::new(Slot::new(task.clone())),
        task: Task::new(task, function, argument, policy),
        loans,
    })
}
