//! Many calls of one function: items become batches, or tasks of their own where they cannot go with others.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::sync::Arc;

use crate::api::handle::TaskHandle;
use crate::api::options::{Policy, TaskOptions};
use crate::backend::encode::encode_each;
use crate::backend::payload::Payload;
use crate::backend::prepare::{ArgumentArena, Prepared};
use crate::backend::prepare::{complete, drop_contained, encode_in};
use crate::backend::run::inside_a_task;
use crate::backend::task::{Task, TaskName};
use crate::loan::Loans;
use crate::wire::batch::Batch;
use crate::wire::codec::CodecError;
use crate::wire::function::{Data, Function, FunctionRef, TaskFn};

/// How many bytes of arguments are enough for a batch.
const FULL: usize = 24 << 10;

/// Many calls of one function, whose arguments are put into batches.
pub(crate) struct Batcher<F, A> {
    function: Function,
    reference: FunctionRef,
    options: TaskOptions,
    policy: Policy,
    batch: Batch,
    /// Items that have been taken and are not encoded yet.
    taken: VecDeque<A>,
    /// The item before the next was too long for a batch.
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

impl<F, A: Data> Batcher<F, A> {
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
            batch: Batch::default(),
            taken: VecDeque::new(),
            are_long: false,
            next: 0,
            marker: PhantomData,
        })
    }

    /// Makes the next of up to so many items into a task, and, where one cannot go with others, that one into another.
    pub(crate) fn put<R: Data>(
        &mut self,
        mut arena: Option<&mut dyn ArgumentArena>,
        items: &mut impl Iterator<Item = A>,
        size: usize,
    ) -> [Option<Put<R>>; 2] {
        let first = self.next - self.batch.len();
        let mut odd = None;
        while self.batch.len() < size && self.batch.bytes() < FULL && odd.is_none() {
            if self.taken.is_empty() {
                self.taken.extend(items.take(Self::TOGETHER.min(size - self.batch.len())));
            }
            if self.taken.is_empty() {
                break;
            }
            let arena = arena.as_mut().map(|arena| &mut **arena as &mut dyn ArgumentArena);
            odd = if self.are_long { self.put_long(arena) } else { self.put_short(size) };
        }
        let batch = (!self.batch.is_empty()).then(|| Put::Task(self.seal(first)));
        [batch, odd]
    }

    /// Encodes items that have been taken into the batch, up to one that cannot go with the others.
    fn put_short<R: Data>(&mut self, size: usize) -> Option<Put<R>> {
        let before = self.batch.len();
        let items = self.taken.iter().take(size - before);
        let encoded = encode_each(items, self.policy.retries > 0, &mut self.batch, FULL);
        let odd = usize::from(!matches!(encoded, Ok(None)));
        let count = self.batch.len() - before + odd;
        let mut dropped = Ok(());
        self.taken.drain(..count).for_each(|item| dropped = drop_contained(item));
        self.next += count;
        if odd == 0 {
            if dropped.is_ok() {
                return None;
            }
            self.batch.open_last();
        }
        let bytes = self.batch.take_open();
        self.are_long = bytes.len() > FULL;
        let encoded = encoded.map(|loans| (bytes.into(), loans.unwrap_or_default()));
        Some(self.put_alone(encoded, dropped))
    }

    /// Encodes an item, which is probably as long as the one before it, where the pool wants long ones.
    fn put_long<R: Data>(&mut self, arena: Option<&mut dyn ArgumentArena>) -> Option<Put<R>> {
        let item = self.taken.pop_front()?;
        let (encoding, encoded) = encode_in(arena, Vec::new(), &item, self.policy.retries > 0);
        let dropped = drop_contained(item);
        self.next += 1;
        let argument = Payload::from(encoding);
        self.are_long = argument.len() > FULL;
        Some(self.put_alone(encoded.map(|loans| (argument, loans)), dropped))
    }

    /// Makes a task of its own of the item before the next.
    fn put_alone<R: Data>(
        &self,
        encoded: Result<(Payload, Loans), CodecError>,
        dropped: Result<(), String>,
    ) -> Put<R> {
        let options = self.options.clone().item(self.next - 1);
        let name = Arc::new(TaskName::new(self.function, &options));
        match complete(name, self.reference, self.policy, encoded, dropped) {
            Ok(prepared) => Put::Alone(Box::new(prepared)),
            Err(handle) => Put::Failed(handle),
        }
    }

    /// Makes a task of the batch, and begins another.
    fn seal(&mut self, first: usize) -> Task {
        let items = self.batch.len() as u32;
        let options = self.options.clone().item(first);
        let name = Arc::new(TaskName::of_many(self.function, &options, items));
        let argument = Payload::from(self.batch.seal());
        let task = Task::new(name, self.reference, argument, self.policy);
        Task { items: 0..items, batch: Some(items), ..task }
    }
}
