//! The `Farm` trait, which all pools implement.

use std::ops::Range;

use crate::api::distribute::distribute;
use crate::api::error::TaskError;
use crate::api::handle::TaskHandle;
use crate::api::imap::Imap;
use crate::api::options::TaskOptions;
use crate::api::stats::Stats;
use crate::backend::pool::Backend;
use crate::wire::function::{Data, TaskFn};

/// A pool of workers that run plain functions.
///
/// A program changes where its tasks run by the `use` line that names the pool. Results are in the
/// order of their inputs, and equal to the bit on every pool if the functions depend on nothing but
/// their argument.
///
/// A pool is `Send + Sync`, and any thread may submit tasks. Dropping a pool is the same as
/// [`terminate`](Self::terminate).
///
/// # Examples
///
/// A function that runs on any pool:
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
    /// Submits a task and returns its handle. It does not wait for the result; only `farm-mono`
    /// runs the task here.
    ///
    /// If something is wrong with the task, for example an argument that cannot be encoded, the
    /// handle returns the error.
    fn submit_with<A, R, F>(&self, options: TaskOptions, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>;

    /// Returns the number of workers of this pool, which is at least 1.
    fn workers(&self) -> usize;

    /// Returns how many tasks [`imap`](Self::imap) keeps submitted at a time.
    ///
    /// `imap` submits fewer tasks while their encoded arguments take 64 MiB or more, but still two
    /// per worker. It takes no item ahead of these. [`map`](Self::map) and the other methods that
    /// wait for all outcomes may submit more, unless the builder of the pool was given a number.
    fn in_flight(&self) -> usize;

    /// Returns counts of what the pool has done so far.
    fn stats(&self) -> Stats;

    /// Waits for all tasks, then stops the workers.
    fn shutdown(self)
    where
        Self: Sized;

    /// Stops the workers at once. Tasks that are not finished end as [`TaskError::Cancelled`].
    ///
    /// Threads cannot be stopped: a pool of threads waits for the tasks that are running. Dropping
    /// a pool does the same.
    fn terminate(self)
    where
        Self: Sized;

    /// Submits a task with default options; see [`submit_with`](Self::submit_with).
    fn submit<A, R, F>(&self, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        self.submit_with(TaskOptions::new(), function, argument)
    }

    /// Submits a task and waits for its result.
    ///
    /// # Errors
    ///
    /// The reason why the task has no result.
    fn apply<A, R, F>(&self, function: F, argument: A) -> Result<R, TaskError>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        self.submit(function, argument).get()
    }

    /// Calls `function` on each item, and returns the results in the order of the items.
    ///
    /// # Errors
    ///
    /// The error of the first item, in the order of the items, that has one; it need not be the
    /// first in time. Tasks after it that have not started are cancelled. When `map` returns, none
    /// of its tasks is running.
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

    /// Does the same as [`map`](Self::map), with options that apply to each task.
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

    /// Calls `function` on each item, and returns all outcomes in the order of the items. To give
    /// options, collect [`imap_with`](Self::imap_with).
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

    /// Calls `function` on each item, and returns an iterator over the outcomes in the order of the
    /// items.
    ///
    /// It is lazy: it takes no more items ahead than [`in_flight`](Self::in_flight) says, and keeps
    /// no outcome that it has returned. So the input may be endless.
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

    /// Does the same as [`imap`](Self::imap), with options that apply to each task.
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

    /// Calls `function` on each item, for functions that return nothing.
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

    /// Divides `0..n_items` into one part per worker; see [`distribute`].
    fn distribute(&self, n_items: usize) -> Vec<Range<usize>> {
        distribute(n_items, self.workers())
    }
}
