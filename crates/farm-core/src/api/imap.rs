//! The tasks of one `map`: items go out ahead, by themselves or many in a batch, and outcomes come back in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::api::error::TaskError;
use crate::api::farm::Farm;
use crate::api::handle::TaskHandle;
use crate::api::options::TaskOptions;
use crate::backend::batcher::{Batcher, Put};
use crate::backend::batching::Batching;
use crate::backend::master::CancelScope;
use crate::backend::pace::{PARTS, Pace};
use crate::backend::pending::{Arrivals, BatchSlot, PendingBatch};
use crate::loan::Loans;
use crate::wire::function::{Data, TaskFn};

/// How many bytes of encoded arguments a `map` keeps submitted, unless fewer than two tasks per worker
/// have as much.
const MOST_BYTES: usize = 64 << 20;

/// An iterator over outcomes in the order of the items, see [`Farm::imap`].
///
/// When it is dropped early, because an item failed or because the input panicked, what has not started
/// is cancelled and what has started is waited for: no task outlives its `map`.
#[must_use = "no item is taken before the first outcome is asked for"]
pub struct Imap<'a, P, F, I: Iterator, R> {
    farm: &'a P,
    options: TaskOptions,
    function: F,
    items: std::iter::Fuse<I>,
    next_item: usize,
    /// How many items are kept submitted.
    in_flight: usize,
    batches: Option<BatchedInput<'a, F, I::Item, R>>,
    submitted: VecDeque<Submitted<R>>,
    /// The next results.
    at_hand: VecDeque<R>,
    /// As far as is known.
    items_are_left: bool,
    /// How many items are submitted, and the size of their arguments.
    waiting: usize,
    bytes: usize,
}

/// What it takes to put items into batches.
struct BatchedInput<'a, F, A, R> {
    pool: &'a dyn Batching,
    calls: Batcher<F, A>,
    pace: Pace,
    arrivals: Arc<Arrivals>,
    /// How many have been submitted.
    submitted: usize,
    marker: std::marker::PhantomData<fn() -> R>,
}

enum Submitted<R> {
    One(TaskHandle<R>),
    Many(PendingBatch),
}

impl<R> Submitted<R> {
    fn bytes(&self) -> usize {
        match self {
            Self::One(handle) => handle.bytes(),
            Self::Many(batch) => batch.bytes,
        }
    }
}

impl<'a, P, F, I, R> Imap<'a, P, F, I, R>
where
    P: Farm,
    I: Iterator,
    I::Item: Data,
    R: Data,
    F: TaskFn<I::Item, R>,
{
    pub(crate) fn new(farm: &'a P, options: TaskOptions, function: F, items: I) -> Self {
        let batches = farm.batching().and_then(|pool| {
            let calls = Batcher::new::<R>(function, pool.options(&options)?)?;
            let (pace, arrivals) = (Pace::default(), Arc::default());
            let marker = std::marker::PhantomData;
            Some(BatchedInput { pool, calls, pace, arrivals, submitted: 0, marker })
        });
        Self {
            farm,
            options,
            function,
            items: items.fuse(),
            next_item: 0,
            in_flight: farm.in_flight().max(1),
            batches,
            submitted: VecDeque::new(),
            at_hand: VecDeque::new(),
            items_are_left: true,
            waiting: 0,
            bytes: 0,
        }
    }

    /// All of its outcomes are wanted, so it may take more items ahead.
    pub(crate) fn of_all(mut self) -> Self {
        if let Some(batches) = &self.batches {
            self.in_flight = batches.pool.ahead();
        }
        self
    }

    fn has_room(&self) -> bool {
        let workers = self.farm.workers();
        self.waiting < self.in_flight
            && (self.bytes < MOST_BYTES || self.waiting < 2 * workers)
            && self.batches.as_ref().is_none_or(|batches| {
                batches.submitted - batches.arrivals.finished() < ENVELOPES * workers
            })
    }

    /// Submits what comes next; says whether there was anything.
    fn submit_next(&mut self) -> bool {
        let Some(BatchedInput { pool, calls, pace, arrivals, submitted, .. }) = &mut self.batches
        else {
            let Some(item) = self.items.next() else { return false };
            let options = self.options.clone().item(self.next_item);
            self.next_item += 1;
            self.waiting += 1;
            let handle = self.farm.submit_with(options, self.function, item);
            self.bytes += handle.bytes();
            self.submitted.push_back(Submitted::One(handle));
            return true;
        };
        let left = match self.items.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        let (took, items) = arrivals.took();
        if items > 0 {
            pace.took(took, items);
        }
        let workers = self.farm.workers();
        // All workers have some of what may be submitted.
        let share = (self.in_flight / (PARTS * workers)).max(1);
        let size = pace.next(left, workers).min(share).min(self.in_flight - self.waiting);
        let before = self.submitted.len();
        let mut made = [None, None];
        pool.with_arena(&mut |arena| made = calls.put(arena, &mut self.items, size));
        for put in made.into_iter().flatten() {
            let handle = match put {
                Put::Task(task) => {
                    let bytes = task.argument.len();
                    let (items, name) = (task.items.end, task.name.clone());
                    let slot = BatchSlot::new(arrivals, *submitted, items);
                    *submitted += 1;
                    let home = pool.accept(task, slot.clone(), Loans::default());
                    self.waiting += items as usize;
                    self.bytes += bytes;
                    let batch = PendingBatch::new(name, slot, home, items, bytes);
                    self.submitted.push_back(Submitted::Many(batch));
                    continue;
                }
                Put::Alone(prepared) => {
                    let bytes = prepared.task.argument.len();
                    let slot = prepared.slot.clone();
                    let home = pool.accept(prepared.task, prepared.slot, prepared.loans);
                    TaskHandle::new(slot, home, bytes)
                }
                Put::Failed(handle) => {
                    pool.failed();
                    handle
                }
            };
            self.waiting += 1;
            self.bytes += handle.bytes();
            self.submitted.push_back(Submitted::One(handle));
        }
        self.items_are_left = self.submitted.len() > before;
        self.items_are_left
    }

    /// Waits for what comes next, and submits more meanwhile.
    fn next_arrival(&mut self) -> Option<Result<R, TaskError>> {
        loop {
            while self.has_room() && self.submit_next() {}
            let more = self.items_are_left && self.waiting < self.in_flight;
            let finished = self.batches.as_ref().map_or(0, |e| e.arrivals.finished());
            let (outcome, is_done) = match self.submitted.front_mut()? {
                Submitted::One(_) => (None, true),
                // When others are finished before it, there is room for more.
                Submitted::Many(batch) => {
                    if !batch.wait_for_next(if more { finished } else { usize::MAX }) {
                        continue;
                    }
                    let error = batch.take(&mut self.at_hand);
                    (error.map(Err), batch.is_empty())
                }
            };
            let first = if is_done { self.submitted.pop_front() } else { None };
            self.bytes -= first.as_ref().map_or(0, Submitted::bytes);
            let outcome = match first {
                Some(Submitted::One(handle)) => Some(handle.get()),
                _ => outcome.or_else(|| self.at_hand.pop_front().map(Ok)),
            };
            if outcome.is_some() {
                self.waiting -= 1;
                return outcome;
            }
        }
    }
}

/// How many batches that are not finished there may be for each worker.
const ENVELOPES: usize = 6;

impl<P, F, I, R> Iterator for Imap<'_, P, F, I, R>
where
    P: Farm,
    I: Iterator,
    I::Item: Data,
    R: Data,
    F: TaskFn<I::Item, R>,
{
    type Item = Result<R, TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.at_hand.pop_front() {
            Some(result) => {
                self.waiting -= 1;
                Some(Ok(result))
            }
            None => self.next_arrival(),
        }
    }
}

impl<P, F, I: Iterator, R> Drop for Imap<'_, P, F, I, R> {
    fn drop(&mut self) {
        // From the back, so that no worker takes up a task that is about to be cancelled.
        for submitted in self.submitted.iter().rev() {
            match submitted {
                Submitted::One(handle) => drop(handle.cancel_within(CancelScope::Waiting)),
                Submitted::Many(batch) => batch.cancel(),
            }
        }
        for submitted in &self.submitted {
            match submitted {
                Submitted::One(handle) => handle.wait(),
                Submitted::Many(batch) => batch.wait(),
            }
        }
    }
}
