//! The tasks of one `map`: items go out ahead, outcomes come back in order.

use std::collections::VecDeque;

use crate::{Data, Farm, TaskError, TaskFn, TaskHandle, TaskOptions};

/// An iterator over outcomes in the order of the items, with a bounded number of tasks submitted.
///
/// When it is dropped early, because an item failed or because the input panicked, what has not started
/// is cancelled and what has started is waited for: no task outlives its `map`.
pub(crate) struct InFlight<'a, P, F, I, R> {
    farm: &'a P,
    function: F,
    items: std::iter::Fuse<I>,
    next_item: usize,
    submitted: VecDeque<TaskHandle<R>>,
}

impl<'a, P: Farm, F, I: Iterator, R> InFlight<'a, P, F, I, R> {
    pub(crate) fn new(farm: &'a P, function: F, items: I) -> Self {
        let items = items.fuse();
        Self { farm, function, items, next_item: 0, submitted: VecDeque::new() }
    }
}

impl<P, F, I, R> Iterator for InFlight<'_, P, F, I, R>
where
    P: Farm,
    I: Iterator,
    I::Item: Data,
    R: Data,
    F: TaskFn<I::Item, R>,
{
    type Item = Result<R, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.submitted.len() < self.farm.in_flight().max(1) {
            let Some(item) = self.items.next() else { break };
            let options = TaskOptions::new().item(self.next_item);
            self.next_item += 1;
            self.submitted.push_back(self.farm.submit_with(options, self.function, item));
        }
        Some(self.submitted.pop_front()?.get())
    }
}

impl<P, F, I, R> Drop for InFlight<'_, P, F, I, R> {
    fn drop(&mut self) {
        // From the back, so that no worker takes up a task that is about to be cancelled.
        for handle in self.submitted.iter().rev() {
            handle.cancel();
        }
        for handle in &self.submitted {
            handle.wait();
        }
    }
}
