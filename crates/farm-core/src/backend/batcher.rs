//! Makes tasks of many items of one function: batches, or tasks of their own for items that must go
//! alone.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::mem::needs_drop;
use std::sync::Arc;

use crate::api::handle::TaskHandle;
use crate::api::options::{Policy, TaskOptions};
use crate::backend::encode_argument::encode_each;
use crate::backend::payload::Payload;
use crate::backend::prepare::{ArgumentArena, Prepared};
use crate::backend::prepare::{complete, drop_contained, encode_in};
use crate::backend::run::inside_a_task;
use crate::backend::task::{Task, TaskName};
use crate::loan::Loans;
use crate::wire::batch::Batch;
use crate::wire::codec::CodecError;
use crate::wire::function::{Data, Function, FunctionRef, TaskFn};

/// The number of bytes of arguments at which a batch is full.
const FULL: usize = 24 << 10;

/// Puts the arguments of many calls of one function into batches.
pub(crate) struct Batcher<F, A> {
    function: Function,
    reference: FunctionRef,
    options: TaskOptions,
    policy: Policy,
    batch: Batch,
    /// Items that were taken from the input and are not encoded yet.
    taken: VecDeque<A>,
    /// Whether the last encoded item was too long for a batch.
    are_long: bool,
    /// The index of the first item that is not encoded yet.
    next: usize,
    marker: PhantomData<F>,
}

/// What has become of items.
pub(crate) enum Put<R> {
    /// A batch.
    Task(Task),
    /// One item as a task of its own, because of its loans, its form or its length.
    Alone(Box<Prepared<R>>),
    /// One item whose task has already failed.
    Failed(TaskHandle<R>),
}

impl<F, A: Data> Batcher<F, A> {
    /// The largest number of items that are taken from the input at a time. Items that need to be
    /// dropped are taken one by one: a panic of its `Drop` must fail the item that it belongs to,
    /// and such items can be of any size.
    const TOGETHER: usize = if needs_drop::<A>() { 1 } else { FULL / (size_of::<A>() + 1) + 1 };

    /// Returns `None` if the items must be submitted one by one. If that is because they cannot be
    /// submitted at all, their handles then tell the reason.
    pub(crate) fn new<R: Data>(function: F, options: TaskOptions) -> Option<Self>
    where
        F: TaskFn<A, R>,
    {
        let function = Function::of(function);
        let policy = options.policy();
        // Only the worker knows how long each item of a batch takes.
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

    /// Makes a batch of at most `size` of the next items. The batch ends before an item that must
    /// go alone, and that item is returned as well.
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

    /// Encodes taken items into the batch, up to one that must go alone, which is returned.
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

    /// Encodes one item in the arena, because it is probably as long as the one before it.
    fn put_long<R: Data>(&mut self, arena: Option<&mut dyn ArgumentArena>) -> Option<Put<R>> {
        let item = self.taken.pop_front()?;
        let (encoding, encoded) = encode_in(arena, Vec::new(), &item, self.policy.retries > 0);
        let dropped = drop_contained(item);
        self.next += 1;
        let argument = Payload::from(encoding);
        self.are_long = argument.len() > FULL;
        Some(self.put_alone(encoded.map(|loans| (argument, loans)), dropped))
    }

    /// Makes a task of its own of the item that was encoded last.
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

    /// Makes a task of the batch, and begins another batch.
    fn seal(&mut self, first: usize) -> Task {
        let items = self.batch.len() as u32;
        let options = self.options.clone().item(first);
        let name = Arc::new(TaskName::of_many(self.function, &options, items));
        let argument = Payload::from(self.batch.seal());
        let task = Task::new(name, self.reference, argument, self.policy);
        Task { items: 0..items, batch: Some(items), ..task }
    }
}
