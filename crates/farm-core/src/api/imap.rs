//! The tasks of one `map`: items are submitted ahead, alone or in batches, and outcomes are
//! returned in order.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::api::error::TaskError;
use crate::api::farm::Farm;
use crate::api::handle::TaskHandle;
use crate::api::options::TaskOptions;
use crate::backend::batcher::{Batcher, Put};
use crate::backend::map_results::{Arrivals, BatchSlot, PendingBatch};
use crate::backend::master::CancelScope;
use crate::backend::pace::{PARTS, Pace};
use crate::backend::pool::Batching;
use crate::loan::Loans;
use crate::wire::function::{Data, TaskFn};

/// The number of bytes of encoded arguments up to which a `map` submits more items. Two items per
/// worker are submitted in any case.
const MOST_BYTES: usize = 64 << 20;

/// An iterator over outcomes in the order of the items; see [`Farm::imap`].
///
/// If it is dropped early, because an item failed or the input panicked, it cancels what has not
/// started and waits for what has started: no task continues after its `map` has ended.
#[must_use = "no item is taken before the first outcome is asked for"]
pub struct Imap<'a, P, F, I: Iterator, R> {
    farm: &'a P,
    options: TaskOptions,
    function: F,
    items: std::iter::Fuse<I>,
    next_item: usize,
    /// The largest number of items that are submitted and not returned.
    in_flight: usize,
    batches: Option<BatchedInput<'a, F, I::Item, R>>,
    submitted: VecDeque<Submitted<R>>,
    /// Results that are decoded and not yet returned.
    at_hand: VecDeque<R>,
    /// Whether the input may have more items. It is updated only if items are submitted in batches.
    items_are_left: bool,
    /// The number of items that are submitted and not returned.
    waiting: usize,
    /// The size of the encoded arguments of what is submitted, in bytes.
    bytes: usize,
}

/// The state of a `map` whose items are submitted in batches.
struct BatchedInput<'a, F, A, R> {
    pool: &'a dyn Batching,
    calls: Batcher<F, A>,
    pace: Pace,
    arrivals: Arc<Arrivals>,
    /// The number of batches that were submitted.
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

    /// Allows more items to be submitted ahead, because all outcomes are wanted.
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
                batches.submitted - batches.arrivals.finished() < MOST_BATCHES * workers
            })
    }

    /// Submits the next item or the next batch; returns whether there was one.
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
        // Bounds the batch, so that all workers get a part of what may be submitted.
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

    /// Waits for the next outcome, and submits more items meanwhile. Returns `None` at the end.
    fn next_arrival(&mut self) -> Option<Result<R, TaskError>> {
        loop {
            while self.has_room() && self.submit_next() {}
            let more = self.items_are_left && self.waiting < self.in_flight;
            let finished = self.batches.as_ref().map_or(0, |e| e.arrivals.finished());
            let (outcome, is_done) = match self.submitted.front_mut()? {
                Submitted::One(_) => (None, true),
                // Waits also until another batch finishes, if more items can be submitted then.
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

/// The largest number of unfinished batches per worker.
const MOST_BATCHES: usize = 6;

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
