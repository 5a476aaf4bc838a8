//! The face that all pools share.

use std::ops::Range;

use crate::api::distribute::distribute;
use crate::api::error::TaskError;
use crate::api::handle::TaskHandle;
use crate::api::imap::Imap;
use crate::api::options::TaskOptions;
use crate::api::stats::Stats;
use crate::backend::batching::Backend;
use crate::wire::function::{Data, TaskFn};

/// A pool of workers that run plain functions.
///
/// Changing the `use` line that names the pool changes where the tasks run, and nothing else: results are
/// in the order of their inputs and equal to the bit on every pool, given functions that depend on
/// nothing but their argument.
///
/// A pool is `Send + Sync`; any thread may submit. Dropping it stops its workers at once.
///
/// # Examples
///
/// A function that runs on whatever pool it is given:
///
/// ```
/// use farm_core::prelude::*;
///
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// fn sum_of_squares(farm: &impl Farm, n: u64) -> Result<u64, TaskError> {
///     Ok(farm.map(square, 0..n)?.into_iter().sum())
/// }
/// ```
pub trait Farm: Backend {
    /// Puts a task on the to-do list, and returns at once.
    ///
    /// What is wrong with the task, an argument that cannot be encoded included, is told by the handle.
    fn submit_with<A, R, F>(&self, options: TaskOptions, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>;

    /// How many workers this pool has; at least 1.
    fn workers(&self) -> usize;

    /// How many tasks [`imap`](Self::imap) keeps submitted at a time, as long as their
    /// encoded arguments take no more than 64 MiB or they are no more than two per worker. It takes no
    /// more of its input ahead. [`map`](Self::map) and its other relatives, of which all outcomes are wanted, may take
    /// more, unless the pool was told how many.
    fn in_flight(&self) -> usize;

    /// What the pool has done so far.
    fn stats(&self) -> Stats;

    /// Waits for all tasks, then stops the workers.
    fn shutdown(self)
    where
        Self: Sized;

    /// Stops the workers at once; tasks that are not done end as [`TaskError::Cancelled`].
    ///
    /// Dropping the pool does the same.
    fn terminate(self)
    where
        Self: Sized;

    /// [`submit_with`](Self::submit_with) default options.
    fn submit<A, R, F>(&self, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        self.submit_with(TaskOptions::new(), function, argument)
    }

    /// Submits a task and waits for it.
    ///
    /// # Errors
    ///
    /// What happened to the task instead of a result.
    fn apply<A, R, F>(&self, function: F, argument: A) -> Result<R, TaskError>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        self.submit(function, argument).get()
    }

    /// Batcher `function` on each item; the results are in the order of the items.
    ///
    /// # Errors
    ///
    /// The error of the lowest index that has one, whatever failed first in time. Tasks after it that
    /// have not started are cancelled; when `map` returns, none of its tasks is running.
    fn map<A, R, F, I>(&self, function: F, items: I) -> Result<Vec<R>, TaskError>
    where
        Self: Sized,
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
        I: IntoIterator<Item = A>,
    {
        self.map_with(TaskOptions::new(), function, items)
    }

    /// [`map`](Self::map), with options that hold for each of its tasks.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    fn map_with<A, R, F, I>(
        &self,
        options: TaskOptions,
        function: F,
        items: I,
    ) -> Result<Vec<R>, TaskError>
    where
        Self: Sized,
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
        I: IntoIterator<Item = A>,
    {
        self.imap_with(options, function, items).of_all().collect()
    }

    /// Batcher `function` on each item; every outcome, in the order of the items. With options, it is
    /// [`imap_with`](Self::imap_with) and `collect`.
    fn map_each<A, R, F, I>(&self, function: F, items: I) -> Vec<Result<R, TaskError>>
    where
        Self: Sized,
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
        I: IntoIterator<Item = A>,
    {
        self.imap(function, items).of_all().collect()
    }

    /// Batcher `function` on each item, lazily: items are taken no further ahead than tasks are in flight,
    /// and no outcome is kept once it is asked for. So the input may be endless.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn demo(pool: &impl farm_core::Farm) {
    /// let roots = pool.imap(f64::sqrt, (0..).map(f64::from));
    /// for root in roots.take(1000) {
    ///     println!("{root:?}");
    /// }
    /// # }
    /// ```
    fn imap<A, R, F, I>(&self, function: F, items: I) -> Imap<'_, Self, F, I::IntoIter, R>
    where
        Self: Sized,
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
        I: IntoIterator<Item = A>,
    {
        self.imap_with(TaskOptions::new(), function, items)
    }

    /// [`imap`](Self::imap), with options that hold for each of its tasks.
    fn imap_with<A, R, F, I>(
        &self,
        options: TaskOptions,
        function: F,
        items: I,
    ) -> Imap<'_, Self, F, I::IntoIter, R>
    where
        Self: Sized,
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
        I: IntoIterator<Item = A>,
    {
        Imap::new(self, options, function, items.into_iter())
    }

    /// Batcher `function` on each item for what it does; there are no results to keep.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    fn for_each<A, F, I>(&self, function: F, items: I) -> Result<(), TaskError>
    where
        Self: Sized,
        A: Data,
        F: TaskFn<A, ()>,
        I: IntoIterator<Item = A>,
    {
        self.imap(function, items).of_all().collect()
    }

    /// Cuts `0..n_items` into one part per worker, see [`distribute`].
    fn distribute(&self, n_items: usize) -> Vec<Range<usize>> {
        distribute(n_items, self.workers())
    }
}
