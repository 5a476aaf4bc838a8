//! Many calls of one function: items become envelopes, or tasks of their own where they cannot go with others.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::sync::Arc;

use crate::codec::CodecError;
use crate::prepare::{complete, drop_contained, encode_in};
use crate::run::encode_each;
use crate::{
    Data, Depot, Envelope, Function, FunctionRef, Passengers, Payload, Policy, Prepared, Task,
    TaskFn, TaskHandle, TaskName, TaskOptions, inside_a_task,
};

/// How many bytes of arguments are enough for an envelope.
const FULL: usize = 24 << 10;

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
        self.are_long = argument.len() > FULL;
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
