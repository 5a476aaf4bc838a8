//! The pool, as its user sees it.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use farm_core::{
    Cancel, Data, Farm, FarmError, Prepared, Stats, TaskFn, TaskHandle, TaskOptions, prepare,
};

use crate::builder::Builder;
use crate::service::{self, Canceller, Service};
use crate::settings::Settings;
use crate::staff::Process;
use crate::{signals, start, transport};

/// A pool of worker processes.
///
/// Dropping it ends the workers at once; [`Farm::shutdown`] waits for the tasks first.
pub struct Pool {
    service: Arc<Service>,
    canceller: Arc<dyn Cancel>,
    workers: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// A pool of one worker per core that this process may use.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> Result<Self, FarmError> {
        Self::builder().build()
    }

    /// A pool with settings of one's own.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(settings: Settings, workers: usize) -> Result<Self, FarmError> {
        let refused = |doing| move |source| FarmError::System { doing, source };
        let (up, answers) = transport::open().map_err(refused("open a channel for the workers"))?;
        let (starts, wanted) = mpsc::channel();
        let service = Service::new(settings, workers, up, starts)
            .map_err(refused("open an event descriptor"))?;
        let canceller: Arc<dyn Cancel> = Arc::new(Canceller(service.clone()));
        let mut pool = Self { service, canceller, workers, threads: Vec::new() };
        let ours = pool.service.clone();
        pool.thread("farm-service", move || ours.run(&answers))?;
        let ours = pool.service.clone();
        pool.thread("farm-watch", move || {
            ours.watch.run(|now| ours.beat(now), |worker, end| ours.ended(worker, end));
        })?;
        let ours = pool.service.clone();
        pool.thread("farm-start", move || start::run(&ours, &wanted))?;
        let ours = pool.service.clone();
        // Nobody waits for this thread to end: it may be writing to a stderr that is not read.
        spawn("farm-output", move || ours.watch.outputs.run())?;
        pool.service.begin();
        pool.service.wait_until_up()?;
        Ok(pool)
    }

    fn thread(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), FarmError> {
        self.threads.push(spawn(name, body)?);
        Ok(())
    }

    /// The worker processes that are up, oldest first, and what each has been given to do.
    pub fn processes(&self) -> Vec<Process> {
        self.service.processes()
    }

    fn end(&mut self, gently: bool) {
        if !self.threads.is_empty() {
            self.service.close(gently);
            // The pool may be dropped by a future that one of its own threads has woken.
            let this = std::thread::current().id();
            for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != this) {
                let _ = thread.join();
            }
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, FarmError> {
    let body = move || {
        service::this_thread_is_ours();
        body();
    };
    signals::none_for_threads_of(|| std::thread::Builder::new().name(name.to_owned()).spawn(body))
        .map_err(|source| FarmError::System { doing: "start a thread of the pool", source })
}

impl Farm for Pool {
    fn submit_with<A, R, F>(&self, options: TaskOptions, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        self.service.counters.submitted();
        let options = options.or(&self.service.settings.task);
        match prepare(&options, function, &argument) {
            Ok(Prepared { task, slot, passengers }) => {
                let bytes = (*task.argument).as_ref().len();
                self.service.submit(task, slot.clone(), passengers);
                TaskHandle::new(slot, Some(Arc::downgrade(&self.canceller)), bytes)
            }
            Err(handle) => {
                self.service.counters.failed();
                handle
            }
        }
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn in_flight(&self) -> usize {
        self.service.settings.in_flight.unwrap_or((64 * self.workers).max(256))
    }

    fn stats(&self) -> Stats {
        self.service.counters.stats()
    }

    fn shutdown(mut self) {
        self.service.wait_until_idle();
        self.end(true);
    }

    fn terminate(mut self) {
        self.end(false);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.end(false);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pool({} worker processes)", self.workers)
    }
}
