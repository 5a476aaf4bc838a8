//! The backends that run the tasks of a bench, behind one trait: the farm's pools, and others for
//! comparison.

use std::collections::VecDeque;
use std::sync::mpsc;

use farm_core::{Data, Farm};
use rayon::prelude::*;

/// A task function, `run`, in a form that any backend can name.
pub(crate) trait Task: 'static {
    type Argument: Data;
    type Result: Data;

    fn run(argument: Self::Argument) -> Self::Result;
}

/// A pool of workers. Its methods panic if a task fails.
pub(crate) trait Backend: Sized {
    /// The name of the backend in ids.
    const NAME: &'static str;

    /// How many tasks may be submitted at a time.
    const MOST_QUEUED: usize = usize::MAX;

    fn start(workers: usize) -> Self;

    /// Returns a function that makes the round trip of one task.
    fn caller<T: Task>(&self) -> impl FnMut(T::Argument) -> T::Result;

    /// Submits each task separately, then gets all results in order.
    fn submit_all<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync;

    /// Maps with the backend's own map, if it has one.
    fn map<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync;
}

/// Defines a backend for a pool of the farm; `$builder` builds the pool.
macro_rules! farm {
    ($backend:ident, $name:literal, $pool:ty, $builder:expr) => {
        pub(crate) struct $backend($pool);

        impl Backend for $backend {
            const NAME: &'static str = $name;

            fn start(workers: usize) -> Self {
                Self($builder.workers(workers).build().expect("a pool"))
            }

            fn caller<T: Task>(&self) -> impl FnMut(T::Argument) -> T::Result {
                |argument| self.0.apply(T::run, argument).expect("the task does not fail")
            }

            fn submit_all<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
            where
                T::Argument: Copy + Sync,
            {
                let submit = |argument: &T::Argument| self.0.submit(T::run, *argument);
                let handles: Vec<_> = arguments.iter().map(submit).collect();
                handles.into_iter().map(|handle| handle.get().expect("no task fails")).collect()
            }

            fn map<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
            where
                T::Argument: Copy + Sync,
            {
                self.0.map(T::run, arguments.iter().copied()).expect("no task fails")
            }
        }
    };
}

farm!(Mono, "mono", farm_mono::Pool, farm_mono::Pool::builder());
farm!(Rayon, "rayon", farm_rayon::Pool, farm_rayon::Pool::builder());
farm!(Process, "process", farm_process::Pool, farm_process::Pool::builder());
farm!(
    ProcessChannel,
    "process-channel",
    farm_process::Pool,
    farm_process::Pool::builder().transport(farm_process::Transport::Channel)
);

/// Rayon without a farm.
pub(crate) struct RayonBare(rayon::ThreadPool);

impl Backend for RayonBare {
    const NAME: &'static str = "rayon-bare";

    fn start(workers: usize) -> Self {
        Self(rayon::ThreadPoolBuilder::new().num_threads(workers).build().expect("a pool"))
    }

    fn caller<T: Task>(&self) -> impl FnMut(T::Argument) -> T::Result {
        let (done, results) = mpsc::channel();
        move |argument| {
            let done = done.clone();
            self.0.spawn(move || done.send(T::run(argument)).expect("somebody waits"));
            results.recv().expect("the task does not fail")
        }
    }

    fn submit_all<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync,
    {
        let (done, results) = mpsc::channel();
        for (place, &argument) in arguments.iter().enumerate() {
            let done = done.clone();
            self.0.spawn(move || done.send((place, T::run(argument))).expect("somebody waits"));
        }
        drop(done);
        let mut ordered: Vec<_> = arguments.iter().map(|_| None).collect();
        results.into_iter().for_each(|(place, result)| ordered[place] = Some(result));
        ordered.into_iter().map(|result| result.expect("no task fails")).collect()
    }

    fn map<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync,
    {
        self.0.install(|| arguments.par_iter().copied().map(T::run).collect())
    }
}

/// The pool of worker processes of the crate procspawn, which has no map.
pub(crate) struct Procspawn(procspawn::Pool);

impl Backend for Procspawn {
    const NAME: &'static str = "procspawn";

    /// Each task holds file descriptors, of which a process may have 1024 by default.
    const MOST_QUEUED: usize = 100;

    fn start(workers: usize) -> Self {
        Self(procspawn::Pool::new(workers).expect("a pool"))
    }

    fn caller<T: Task>(&self) -> impl FnMut(T::Argument) -> T::Result {
        |argument| self.0.spawn(argument, T::run).join().expect("the task does not fail")
    }

    fn submit_all<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync,
    {
        let handles: Vec<_> = arguments.iter().map(|&a| self.0.spawn(a, T::run)).collect();
        handles.into_iter().map(|handle| handle.join().expect("no task fails")).collect()
    }

    fn map<T: Task>(&self, arguments: &[T::Argument]) -> Vec<T::Result>
    where
        T::Argument: Copy + Sync,
    {
        let mut waiting = VecDeque::new();
        let mut results = Vec::with_capacity(arguments.len());
        for &argument in arguments {
            if waiting.len() == Self::MOST_QUEUED {
                results.extend(waiting.pop_front().map(result));
            }
            waiting.push_back(self.0.spawn(argument, T::run));
        }
        results.extend(waiting.into_iter().map(result));
        results
    }
}

fn result<R: Data>(handle: procspawn::JoinHandle<R>) -> R {
    handle.join().expect("no task fails")
}
