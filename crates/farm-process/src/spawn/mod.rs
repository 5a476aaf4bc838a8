//! Starts a worker: makes the connection to it, starts its process, sends it a welcome.
//!
//! One thread starts the processes, and lives as long as they do, because the kernel tells a worker
//! when the thread that started it ends; see `supervise/lifeline.rs`. Each worker is then welcomed
//! by a thread of its own, so that a pool comes up as fast as its slowest worker. That thread waits
//! for the worker only if the welcome is too long for a packet, until the worker has read it or is
//! dead.

pub(crate) mod bootstrap;
pub(crate) mod cores;
pub(crate) mod origin;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use farm_core::WorkerId;
use farm_os::Owner;
use farm_os::limits::{keep_standard_descriptors, name_limit_of_threads};
use ipc_channel::ipc::IpcSender;

use crate::dispatcher::Dispatcher;
use crate::dispatcher::workers::{Start, StartError};
use crate::init::{VARIABLE, WORKER_NAME, variable_for};
use crate::os::threads;
use crate::supervise::image;
use crate::transport::control::Down;
use crate::transport::facts::SharedFacts;
use crate::transport::ipc::{is_gone, send_patiently, why_refused};
use crate::transport::{Connection, TransportConfig};

/// Set once, before the program ends; it guards no other data.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Keeps all pools of this program from starting another worker.
///
/// This is for a program that is about to end without dropping its pools, as on Ctrl-C. Workers
/// need no such care: they end with the program.
pub fn prepare_exit() {
    ENDING.store(true, Ordering::Relaxed);
}

/// The body of the thread that starts workers. It starts each worker that is asked for, and reports
/// failures to the dispatcher. If all goes well, the worker itself reports that it is ready.
pub(crate) fn run(dispatcher: &Arc<Dispatcher>, wanted: &Receiver<Start>) {
    while let Ok(Start::Worker(worker)) = wanted.recv() {
        let launched = contained(|| launch(dispatcher, worker)).and_then(|launched| {
            let (ours, pid) = (dispatcher.clone(), launched.pid);
            let welcome = move || {
                let welcomed = contained(|| welcome(&ours, worker, launched));
                report(&ours, worker, welcomed);
            };
            threads::spawn(format!("farm-welcome-{}", worker.0), welcome)
                .map(drop)
                .map_err(|error| failed(pid, format!("no thread to welcome it: {error}")))
        });
        report(dispatcher, worker, launched);
    }
}

/// Reports a failed start to the dispatcher, and kills the worker if its process was started.
fn report(dispatcher: &Arc<Dispatcher>, worker: WorkerId, outcome: Result<(), StartError>) {
    if let Err(error) = outcome {
        dispatcher.start_failed(worker, error);
        dispatcher.watch.kill(worker);
    }
}

/// Calls a function that panics if the system refuses ipc-channel memory or descriptors, and
/// returns such a panic as an error.
fn contained<T>(call: impl FnOnce() -> Result<T, StartError>) -> Result<T, StartError> {
    let refused = |said: String| failed(0, why_refused(&said));
    farm_core::backend::contained(call).map_err(refused).and_then(|outcome| outcome)
}

fn failed(pid: u32, reason: impl Into<String>) -> StartError {
    StartError { pid, reason: reason.into() }
}

/// A worker whose process has been started.
struct Launched {
    pid: u32,
    control: IpcSender<Down>,
    config: TransportConfig,
}

/// Makes the connection to a worker and starts its process.
fn launch(dispatcher: &Arc<Dispatcher>, worker: WorkerId) -> Result<Launched, StartError> {
    if ENDING.load(Ordering::Relaxed) {
        return Err(failed(0, "the program is ending"));
    }
    keep_standard_descriptors();
    let no_channel = |error: io::Error| failed(0, format!("it has no channel: {error}"));
    let (control, receiver) = bootstrap::control_channel().map_err(no_channel)?;
    let Connection { link, config, files } =
        dispatcher.connector.connect(&control).map_err(|error| failed(0, error.to_string()))?;
    let stdin = bootstrap::hand_over(receiver, image::descriptor(), files).map_err(no_channel)?;
    let deadline = dispatcher.watch.clock.now().checked_add(dispatcher.settings.start_timeout);
    let child = spawn(dispatcher, worker, stdin)
        .map_err(|error| failed(0, format!("its process cannot be started: {error}")))?;
    let pid = child.id();
    dispatcher.started(worker, pid, link);
    dispatcher
        .watch
        .add(worker, child, deadline)
        .map_err(|error| failed(pid, format!("it cannot be watched, as Linux 5.4 can: {error}")))?;
    Ok(Launched { pid, control, config })
}

/// Sends the worker all that it needs to begin.
fn welcome(
    dispatcher: &Dispatcher,
    worker: WorkerId,
    Launched { pid, control, config }: Launched,
) -> Result<(), StartError> {
    let welcome = || Down::Welcome {
        worker,
        up: dispatcher.up(),
        config: config.clone(),
        memory_limit: dispatcher.settings.memory_limit,
        initializer: dispatcher.settings.initializer.clone(),
        facts: SharedFacts::of_this_program(),
    };
    if dispatcher.settings.pinned {
        dispatcher.set_apart(worker, pid);
    }
    // A dead worker cannot be reached; the watch reports how it ended.
    match send_patiently(&control, welcome) {
        Err(error) if !is_gone(&error) => {
            Err(failed(pid, format!("it cannot be reached: {error}")))
        }
        _ => Ok(()),
    }
}

/// Starts the running executable, whatever has become of its file, with the arguments of this
/// process.
///
/// The worker leads a process group of its own, so that Ctrl-C and Ctrl-Z in a terminal concern the
/// program alone.
fn spawn(dispatcher: &Arc<Dispatcher>, worker: WorkerId, stdin: OwnedFd) -> io::Result<Child> {
    let output = dispatcher.watch.outputs.add(worker)?;
    let start = || {
        let mut command = Command::new("/proc/self/exe");
        dispatcher.origin.check_rights()?;
        if let Some(folder) = dispatcher.origin.folder()? {
            command.current_dir(folder);
        }
        command
            .arg0(WORKER_NAME)
            .args(std::env::args_os().skip(1))
            .env_clear()
            .envs(dispatcher.origin.environment.iter().map(|(name, value)| (name, value)))
            .envs(&dispatcher.environment)
            .env(VARIABLE, variable_for(Owner::this()))
            .stdin(stdin)
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(name_limit_of_threads)
    };
    start().inspect_err(|_| drop(dispatcher.watch.outputs.last_output(worker)))
}
