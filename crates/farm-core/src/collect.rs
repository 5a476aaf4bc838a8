//! The tasks of one `map`: items go out ahead, outcomes come back in order.

use std::collections::VecDeque;

use crate::{Data, Farm, Reach, TaskError, TaskFn, TaskHandle, TaskOptions};

/// How many bytes of encoded arguments a `map` keeps submitted, unless fewer than two tasks per worker
/// have as much.
const MOST_BYTES: usize = 64 << 20;

/// An iterator over outcomes in the order of the items, see [`Farm::imap`].
///
/// When it is dropped early, because an item failed or because the input panicked, what has not started
/// is cancelled and what has started is waited for: no task outlives its `map`.
#[must_use = "no item is taken before the first outcome is asked for"]
pub struct Imap<'a, P, F, I, R> {
    farm: &'a P,
    options: TaskOptions,
    function: F,
    items: std::iter::Fuse<I>,
    next_item: usize,
    submitted: VecDeque<TaskHandle<R>>,
    /// The size of the arguments of what is submitted.
    bytes: usize,
}

impl<'a, P: Farm, F, I: Iterator, R> Imap<'a, P, F, I, R> {
    pub(crate) fn new(farm: &'a P, options: TaskOptions, function: F, items: I) -> Self {
        Self {
            farm,
            options,
            function,
            items: items.fuse(),
            next_item: 0,
            submitted: VecDeque::new(),
            bytes: 0,
        }
    }

    fn has_room(&self) -> bool {
        let tasks = self.submitted.len();
        tasks < self.farm.in_flight().max(1)
            && (self.bytes < MOST_BYTES || tasks < 2 * self.farm.workers())
    }
}

impl<P, F, I, R> Iterator for Imap<'_, P, F, I, R>
where
    P: Farm,
    I: Iterator,
    I::Item: Data,
    R: Data,
    F: TaskFn<I::Item, R>,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.has_room() {
            let Some(item) = self.items.next() else { break };
            let options = self.options.clone().item(self.next_item);
            self.next_item += 1;
            let handle = self.farm.submit_with(options, self.function, item);
            self.bytes += handle.bytes();
            self.submitted.push_back(handle);
        }
        let handle = self.submitted.pop_front()?;
        self.bytes -= handle.bytes();
        Some(handle.get())
    }
}

impl<P, F, I, R> Drop for Imap<'_, P, F, I, R> {
    fn drop(&mut self) {
        // From the back, so that no worker takes up a task that is about to be cancelled.
        for handle in self.submitted.iter().rev() {
            handle.cancel_within(Reach::Waiting);
        }
        for handle in &self.submitted {
            handle.wait();
        }
    }
}
