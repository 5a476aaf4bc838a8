//! From a function and its argument to a task on the wire: the first step of every pool whose workers
//! do not share the master's values.

use std::mem::needs_drop;
use std::sync::Arc;

use crate::codec::CodecError;
use crate::collect::FULL;
use crate::panics;
use crate::run::{encode_argument, encode_argument_into};
use crate::{
    Data, Envelope, Function, FunctionRef, Passengers, Payload, Policy, Slot, Task, TaskError,
    TaskFn, TaskHandle, TaskName, TaskOptions, inside_a_task,
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
    let encoded = encode_argument(&argument, policy.retries > 0);
    let dropped = drop_contained(argument);
    complete(task, reference, policy, encoded, dropped)
}

/// Drops an argument that has been encoded.
fn drop_contained<A>(argument: A) -> Result<(), String> {
    if !needs_drop::<A>() {
        return Ok(());
    }
    panics::catch(|| drop(argument))
        .map_err(|caught| format!("its `Drop` panicked: {}", caught.message))
}

/// Makes a task of what has been encoded.
fn complete<R: Data>(
    task: Arc<TaskName>,
    function: FunctionRef,
    policy: Policy,
    encoded: Result<(Vec<u8>, Passengers), CodecError>,
    dropped: Result<(), String>,
) -> Result<Prepared<R>, TaskHandle<R>> {
    let refuse = |reason| {
        TaskHandle::failed(TaskError::Encode { task: task.clone(), what: "argument", reason })
    };
    dropped.map_err(refuse)?;
    let (bytes, mut passengers) = encoded.map_err(|error| {
        let (CodecError::Encode(reason) | CodecError::Decode(reason)) = error;
        refuse(reason)
    })?;
    if !passengers.are_alone() {
        return Err(refuse(STILL_HELD.to_owned()));
    }
    let argument = Payload::from(bytes);
    Ok(Prepared {
        slot: Arc::new(Slot::new(task.clone())),
        task: Task::new(task, function, argument, policy),
        passengers,
    })
}

/// Many calls of one function, whose arguments are put into envelopes.
pub(crate) struct Calls<F> {
    function: Function,
    reference: FunctionRef,
    options: TaskOptions,
    policy: Policy,
    envelope: Envelope,
    /// Room for an item.
    item: Vec<u8>,
    /// The index of the first item in the envelope.
    first: usize,
    marker: std::marker::PhantomData<F>,
}

/// What has become of an item.
pub(crate) enum Put<R> {
    /// It is in the envelope.
    In,
    /// It has to go by itself, because of the arrays that travel beside it, or of its size.
    Alone(Box<Prepared<R>>),
    /// It has failed already.
    Failed(TaskHandle<R>),
}

impl<F> Calls<F> {
    /// `None` if they have to go one by one, which then tells why.
    pub(crate) fn new<A: Data, R: Data>(function: F, options: TaskOptions) -> Option<Self>
    where
        F: TaskFn<A, R>,
    {
        let function = Function::of(function);
        let policy = options.policy();
        // How long an item takes is known to the worker alone.
        if inside_a_task() || policy.timeout.is_some() {
            return None;
        }
        Some(Self {
            reference: function.reference().ok()?,
            function,
            options,
            policy,
            envelope: Envelope::default(),
            item: Vec::new(),
            first: 0,
            marker: std::marker::PhantomData,
        })
    }

    pub(crate) fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Encodes the item with that index behind those in the envelope.
    pub(crate) fn put<A: Data, R: Data>(&mut self, index: usize, item: A) -> Put<R> {
        if self.envelope.is_empty() {
            self.first = index;
        }
        let repeatable = self.policy.retries > 0;
        self.item.clear();
        let encoded = encode_argument_into(&item, repeatable, &mut self.item);
        let dropped = drop_contained(item);
        if dropped.is_ok()
            && encoded.as_ref().is_ok_and(Passengers::is_empty)
            && self.item.len() <= FULL
            && self.envelope.put(&self.item)
        {
            return Put::In;
        }
        let bytes = std::mem::take(&mut self.item);
        let options = self.options.clone().item(index);
        let name = Arc::new(TaskName::new(self.function, &options));
        let encoded = encoded.map(|passengers| (bytes, passengers));
        match complete(name, self.reference, self.policy, encoded, dropped) {
            Ok(prepared) => Put::Alone(Box::new(prepared)),
            Err(handle) => Put::Failed(handle),
        }
    }

    /// Makes a task of the envelope, and begins another.
    pub(crate) fn seal(&mut self) -> Task {
        let items = self.envelope.len() as u32;
        let options = self.options.clone().item(self.first);
        let name = Arc::new(TaskName::of_many(self.function, &options, items));
        let argument = Payload::from(self.envelope.seal());
        self.envelope.clear();
        let task = Task::new(name, self.reference, argument, self.policy);
        Task { items: 0..items, envelope: Some(items), ..task }
    }
}
