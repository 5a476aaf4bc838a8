//! From a function and its argument to a task on the wire: the first step of every pool whose workers
//! do not share the master's values.

use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::sync::Arc;

use serde::Serialize;

use crate::codec::{CodecError, Encoded, Output, Shelf};
use crate::collect::FULL;
use crate::panics;
use crate::run::{encode_argument, encode_each};
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

/// Where a pool wants long arguments to lie.
pub trait Depot: Shelf {
    /// Makes a payload of the first bytes of the room that it has given last.
    fn keep(&mut self, bytes: usize) -> Payload;
}

thread_local! {
    /// Room to encode in, for arguments that are not kept there.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
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
    prepare_in(None, options, function, argument)
}

/// As [`prepare`], and has a long argument encoded where the pool wants it.
///
/// # Errors
///
/// As [`prepare`].
pub fn prepare_in<A, R, F>(
    depot: Option<&mut dyn Depot>,
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
    let (encoding, encoded) = encode_in(depot, room, &argument, policy.retries > 0);
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
    complete(task, reference, policy, encoded.map(|passengers| (payload, passengers)), dropped)
}

/// How much of that is kept, in bytes.
const MOST_ROOM: usize = 1024;

/// Where an encoded argument is.
enum Encoding {
    Heap(Vec<u8>),
    Kept(Payload),
}

impl From<Encoding> for Payload {
    fn from(encoding: Encoding) -> Self {
        match encoding {
            Encoding::Heap(bytes) => bytes.into(),
            Encoding::Kept(payload) => payload,
        }
    }
}

/// Encodes an argument behind what `heap` holds, or in the depot if it is long.
fn encode_in<A: Serialize>(
    mut depot: Option<&mut dyn Depot>,
    heap: Vec<u8>,
    argument: &A,
    repeatable: bool,
) -> (Encoding, Result<Passengers, CodecError>) {
    let mut output = Output::new(heap, depot.as_deref_mut().map(|depot| depot as &mut dyn Shelf));
    let encoded = encode_argument(argument, repeatable, &mut output);
    let encoding = match (output.finish(), depot) {
        (Encoded::Shelved(bytes), Some(depot)) => Encoding::Kept(depot.keep(bytes)),
        (Encoded::Heap(bytes), _) => Encoding::Heap(bytes),
        (Encoded::Shelved(_), None) => unreachable!("there is no shelf"),
    };
    (encoding, encoded)
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
    encoded: Result<(Payload, Passengers), CodecError>,
    dropped: Result<(), String>,
) -> Result<Prepared<R>, TaskHandle<R>> {
    let refuse = |reason| {
        TaskHandle::failed(TaskError::Encode { task: task.clone(), what: "argument", reason })
    };
    dropped.map_err(refuse)?;
    let (argument, mut passengers) = encoded.map_err(|error| {
        let (CodecError::Encode(reason) | CodecError::Decode(reason)) = error;
        refuse(reason)
    })?;
    if !passengers.are_alone() {
        return Err(refuse(STILL_HELD.to_owned()));
    }
    Ok(Prepared {
        slot: Arc::new(Slot::new(task.clone())),
        task: Task::new(task, function, argument, policy),
        passengers,
    })
}

/// Many calls of one function, whose arguments are put into envelopes.
pub(crate) struct Calls<F, A> {
    function: Function,
    reference: FunctionRef,
    options: TaskOptions,
    policy: Policy,
    envelope: Envelope,
    /// Items that have been taken and are not encoded yet.
    taken: VecDeque<A>,
    /// The item before the next was too long for an envelope.
    are_long: bool,
    /// The index of the first item that is not encoded yet.
    next: usize,
    marker: PhantomData<F>,
}

/// What items have become.
pub(crate) enum Put<R> {
    /// A task.
    Task(Task),
    /// A task of its own for the next, because of the arrays that travel beside it, or of its size.
    Alone(Box<Prepared<R>>),
    /// The next has failed already.
    Failed(TaskHandle<R>),
}

impl<F, A: Data> Calls<F, A> {
    /// How many items are taken at once. Those with something to be dropped come one by one: how that goes belongs to what
    /// becomes of each, and they can be of any size.
    const TOGETHER: usize = if needs_drop::<A>() { 1 } else { FULL / (size_of::<A>() + 1) + 1 };

    /// `None` if they have to go one by one, which then tells why.
    pub(crate) fn new<R: Data>(function: F, options: TaskOptions) -> Option<Self>
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
            taken: VecDeque::new(),
            are_long: false,
            next: 0,
            marker: PhantomData,
        })
    }

    /// Makes the next of up to so many items into a task, and, where one cannot go with others, that one into another.
    pub(crate) fn put<R: Data>(
        &mut self,
        mut depot: Option<&mut dyn Depot>,
        items: &mut impl Iterator<Item = A>,
        size: usize,
    ) -> [Option<Put<R>>; 2] {
        let first = self.next - self.envelope.len();
        let mut odd = None;
        while self.envelope.len() < size && self.envelope.bytes() < FULL && odd.is_none() {
            if self.taken.is_empty() {
                self.taken.extend(items.take(Self::TOGETHER.min(size - self.envelope.len())));
            }
            if self.taken.is_empty() {
                break;
            }
            let depot = depot.as_mut().map(|depot| &mut **depot as &mut dyn Depot);
            odd = if self.are_long { self.put_long(depot) } else { self.put_short(size) };
        }
        let envelope = (!self.envelope.is_empty()).then(|| Put::Task(self.seal(first)));
        [envelope, odd]
    }

    /// Encodes items that have been taken into the envelope, up to one that cannot go with the others.
    fn put_short<R: Data>(&mut self, size: usize) -> Option<Put<R>> {
        let before = self.envelope.len();
        let items = self.taken.iter().take(size - before);
        let encoded = encode_each(items, self.policy.retries > 0, &mut self.envelope, FULL);
        let odd = usize::from(!matches!(encoded, Ok(None)));
        let count = self.envelope.len() - before + odd;
        let mut dropped = Ok(());
        self.taken.drain(..count).for_each(|item| dropped = drop_contained(item));
        self.next += count;
        if odd == 0 {
            if dropped.is_ok() {
                return None;
            }
            self.envelope.open_last();
        }
        let bytes = self.envelope.take_open();
        self.are_long = bytes.len() > FULL;
        let encoded = encoded.map(|passengers| (bytes.into(), passengers.unwrap_or_default()));
        Some(self.put_alone(encoded, dropped))
    }

    /// Encodes an item, which is probably as long as the one before it, where the pool wants long ones.
    fn put_long<R: Data>(&mut self, depot: Option<&mut dyn Depot>) -> Option<Put<R>> {
        let item = self.taken.pop_front()?;
        let (encoding, encoded) = encode_in(depot, Vec::new(), &item, self.policy.retries > 0);
        let dropped = drop_contained(item);
        self.next += 1;
        let argument = Payload::from(encoding);
        self.are_long = argument.as_ref().len() > FULL;
        Some(self.put_alone(encoded.map(|passengers| (argument, passengers)), dropped))
    }

    /// Makes a task of its own of the item before the next.
    fn put_alone<R: Data>(
        &self,
        encoded: Result<(Payload, Passengers), CodecError>,
        dropped: Result<(), String>,
    ) -> Put<R> {
        let options = self.options.clone().item(self.next - 1);
        let name = Arc::new(TaskName::new(self.function, &options));
        match complete(name, self.reference, self.policy, encoded, dropped) {
            Ok(prepared) => Put::Alone(Box::new(prepared)),
            Err(handle) => Put::Failed(handle),
        }
    }

    /// Makes a task of the envelope, and begins another.
    fn seal(&mut self, first: usize) -> Task {
        let items = self.envelope.len() as u32;
        let options = self.options.clone().item(first);
        let name = Arc::new(TaskName::of_many(self.function, &options, items));
        let argument = Payload::from(self.envelope.seal());
        let task = Task::new(name, self.reference, argument, self.policy);
        Task { items: 0..items, envelope: Some(items), ..task }
    }
}
