//! The pool, as its user sees it.

pub(crate) mod builder;
pub(crate) mod process;
pub(crate) mod settings;

use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;

use farm_core::backend::{
    ArgumentArena, Backend, Batching, Deliver, FORKED, Loans, PoolRef, Prepared, Task, prepare_in,
};
use farm_core::loan::eviction;
use farm_core::{Data, Farm, FarmError, Stats, TaskError, TaskFn, TaskHandle, TaskOptions};
use farm_os::Owner;
use parking_lot::Mutex;

use self::builder::Builder;
use self::process::Process;
use self::settings::Settings;
use crate::dispatcher::{Dispatcher, Handles};
use crate::os::{memory, threads};
use crate::spawn;
use crate::transport::control;
use crate::transport::facts::SharedFacts;
use crate::transport::lane::ArenaWriter;

/// A pool of worker processes.
///
/// Dropping it ends the workers at once; [`Farm::shutdown`] waits for the tasks first.
pub struct Pool {
    dispatcher: Arc<Dispatcher>,
    handles: Arc<dyn PoolRef>,
    workers: usize,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts a pool with one worker per core that this process may use.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn new() -> Result<Self, FarmError> {
        Self::builder().build()
    }

    /// A builder for a pool with other settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(settings: Settings, workers: usize) -> Result<Self, FarmError> {
        let refused = |doing| move |source| FarmError::System { doing, source };
        memory::limit_malloc_arenas();
        memory::check_addresses(workers).map_err(refused("find addresses for the pool"))?;
        let (up, answers) = control::open().map_err(refused("open a channel for the workers"))?;
        SharedFacts::of_this_program();
        Owner::sweep();
        let (starts, wanted) = mpsc::channel();
        let dispatcher = Dispatcher::new(settings, workers, up, starts)
            .map_err(refused("make descriptors and memory for the pool"))?;
        eviction::listen(Arc::downgrade(&dispatcher) as _);
        let handles: Arc<dyn PoolRef> = Arc::new(Handles(dispatcher.clone()));
        let mut pool = Self { dispatcher, handles, workers, threads: Vec::new() };
        let (ours, answers) = (pool.dispatcher.clone(), Arc::new(Mutex::new(answers)));
        pool.thread("farm-control", move || ours.run(&answers))?;
        if let Some(receive) = pool.dispatcher.receiver_thread() {
            pool.thread("farm-receiver", receive)?;
        }
        let ours = pool.dispatcher.clone();
        pool.thread("farm-spawn", move || spawn::run(&ours, &wanted))?;
        let ours = pool.dispatcher.clone();
        pool.thread("farm-output", move || ours.watch.outputs.run())?;
        let ours = pool.dispatcher.clone();
        // No other thread waits for this one to end: it may be writing to a stderr that is not
        // read.
        threads::spawn("farm-stderr", move || ours.watch.outputs.queue.run()).map_err(no_thread)?;
        // The first beat of the watch starts workers. So this thread comes last, when nothing can
        // be refused any more.
        let ours = pool.dispatcher.clone();
        pool.thread("farm-watch", move || {
            ours.watch.run(|now| ours.beat(now), |worker, end| ours.ended(worker, end));
        })?;
        pool.dispatcher.begin();
        pool.dispatcher.wait_until_up()?;
        Ok(pool)
    }

    fn thread(
        &mut self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<(), FarmError> {
        self.threads.push(threads::spawn(name, body).map_err(no_thread)?);
        Ok(())
    }

    /// The worker processes that are up, oldest first, with the task that each has been given.
    pub fn processes(&self) -> Vec<Process> {
        self.dispatcher.processes()
    }

    /// Ends the pool: patiently once all tasks have their outcome, otherwise at once.
    fn end(&mut self, patiently: bool) {
        let threads = std::mem::take(&mut self.threads);
        if !self.is_here() {
            // This is a child that the program has forked: it has none of the pool's threads, and
            // the workers are not its own. Handles that are left in it can still ask the pool.
            std::mem::forget(self.handles.clone());
            return;
        }
        if threads.is_empty() {
            return;
        }
        let dispatcher = self.dispatcher.clone();
        let end = move || {
            if patiently {
                dispatcher.wait_until_idle();
            }
            dispatcher.close(patiently);
            for thread in threads {
                let _ = thread.join();
            }
        };
        if threads::is_pool_thread() {
            // A waker has dropped the pool on one of the pool's own threads, which is needed to end
            // it. So another thread ends the pool.
            let _ = threads::spawn("farm-end", end);
        } else {
            end();
        }
    }

    /// A writer into the arena for long arguments, if the transport has one.
    fn writer(&self) -> Option<ArenaWriter<'_>> {
        // A fork of this process must not write to the memory of the pool.
        self.dispatcher.arena_writer().filter(|_| self.is_here())
    }

    /// Whether this is the process that made the pool, and not a fork of it.
    fn is_here(&self) -> bool {
        self.dispatcher.is_here()
    }
}

fn no_thread(source: std::io::Error) -> FarmError {
    FarmError::System { doing: "start a thread of the pool", source }
}

impl Backend for Pool {
    fn batching(&self) -> Option<&dyn Batching> {
        self.dispatcher.takes_batches().then_some(self)
    }
}

impl Farm for Pool {
    fn submit_with<A, R, F>(&self, options: TaskOptions, function: F, argument: A) -> TaskHandle<R>
    where
        A: Data,
        R: Data,
        F: TaskFn<A, R>,
    {
        let options = options.or(&self.dispatcher.settings.task);
        let mut writer = self.writer();
        let arena = writer.as_mut().map(|writer| writer as &mut dyn ArgumentArena);
        let prepared = prepare_in(arena, &options, function, argument);
        // Gives back the room of an argument that was begun in the arena and did not fit there,
        // because other threads may wait for it.
        drop(writer);
        match prepared {
            Ok(Prepared { task, slot, loans }) => {
                let bytes = task.argument.len();
                let home = self.accept(task, slot.clone(), loans);
                TaskHandle::new(slot, home, bytes)
            }
            Err(handle) => {
                self.failed();
                handle
            }
        }
    }

    fn workers(&self) -> usize {
        self.workers
    }

    fn in_flight(&self) -> usize {
        self.dispatcher.settings.in_flight.unwrap_or((64 * self.workers).max(256))
    }

    fn stats(&self) -> Stats {
        self.dispatcher.counters.stats()
    }

    fn shutdown(mut self) {
        self.end(true);
    }

    fn terminate(mut self) {
        self.end(false);
    }
}

impl Batching for Pool {
    fn options(&self, options: &TaskOptions) -> Option<TaskOptions> {
        Some(options.clone().or(&self.dispatcher.settings.task))
    }

    fn accept(
        &self,
        task: Task,
        slot: Arc<dyn Deliver>,
        loans: Loans,
    ) -> Option<Weak<dyn PoolRef>> {
        let items = task.items.len();
        self.dispatcher.counters.submitted(items as u64);
        if self.is_here() {
            self.dispatcher.submit(task, slot, loans);
            return Some(Arc::downgrade(&self.handles));
        }
        let reason = Arc::from(FORKED);
        for (item, name) in task.items.clone().zip(task.names()) {
            self.dispatcher.counters.failed();
            let error = TaskError::NoWorkers { task: name, reason: Arc::clone(&reason) };
            // The handle is not handed out yet, so there is no waker to call.
            let _ = slot.deliver(item..item + 1, Err(error), Loans::default());
        }
        None
    }

    fn failed(&self) {
        self.dispatcher.counters.submitted(1);
        self.dispatcher.counters.failed();
    }

    fn with_arena(&self, body: &mut dyn FnMut(Option<&mut dyn ArgumentArena>)) {
        body(self.writer().as_mut().map(|writer| writer as &mut dyn ArgumentArena));
    }

    fn ahead(&self) -> usize {
        self.dispatcher.settings.in_flight.unwrap_or(MOST_AHEAD)
    }
}

/// How many items of a map are kept submitted, unless the builder says otherwise.
const MOST_AHEAD: usize = 1 << 16;

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
