//! From a function and its argument to a task on the wire: the first step of every pool whose workers
//! do not share the master's values.

use std::mem::needs_drop;
use std::sync::Arc;

use crate::codec::CodecError;
use crate::panics;
use crate::run::encode_argument;
use crate::{
    Attempt, Data, Function, Passengers, Payload, Slot, Task, TaskError, TaskFn, TaskHandle,
    TaskName, TaskOptions, inside_a_task,
};

const STILL_HELD: &str =
    "a band in it is still held elsewhere, or is in it twice; move it into the argument";

/// A task that is ready to be sent, and what stays with the master.
pub struct Prepared<R> {
    /// What goes on the to-do list.
    pub task: Task,
    /// Where its outcome belongs.
    pub slot: Arc<Slot<R>>,
    /// The arrays that travel beside its argument.
    pub passengers: Passengers,
}

/// Encodes a task, and drops its argument: what handles in it stand for is the task's from now on.
///
/// # Errors
///
/// The handle of a task that has failed already: the argument cannot be encoded, the function cannot be
/// sent, somebody still holds a band of it, or the caller is itself a task.
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
    let refuse = |reason| fail(TaskError::Encode { task: task.clone(), what: "argument", reason });
    let encoded = encode_argument(&argument, policy.retries > 0);
    if needs_drop::<A>()
        && let Err(caught) = panics::catch(|| drop(argument))
    {
        return Err(refuse(format!("its `Drop` panicked: {}", caught.message)));
    }
    let (bytes, mut passengers) = encoded.map_err(|error| {
        let (CodecError::Encode(reason) | CodecError::Decode(reason)) = error;
        refuse(reason)
    })?;
    if !passengers.are_alone() {
        return Err(refuse(STILL_HELD.to_owned()));
    }
    Ok(Prepared {
        slot: Arc::new(Slot::new(task.clone())),
        task: Task {
            name: task,
            function: reference,
            argument: Arc::new(Payload::from(bytes)),
            items: 0..1,
            envelope: None,
            attempt: Attempt::FIRST,
            failures: 0,
            policy,
        },
        passengers,
    })
}
