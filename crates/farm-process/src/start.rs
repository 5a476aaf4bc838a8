//! Bringing up a worker: start the process, meet it, check that it runs the same build.
//!
//! One thread starts the processes, and lives as long as they do: the kernel tells a worker of the end of the
//! thread that started it, see [`crate::lifeline`]. Each worker is then met by a thread of its own, so that a
//! pool comes up as fast as its slowest worker. That thread waits for the worker only where what it sends is too long for a
//! packet, until the worker has read it or is dead.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use farm_core::WorkerId;
use farm_os::Owner;
use farm_os::limits::{keep_standard_descriptors, name_limit_of_threads};
use ipc_channel::ipc::IpcSender;

use crate::facts::SharedFacts;
use crate::init::{CALL, WORKER_NAME, call_of};
use crate::service::Service;
use crate::transport::{Down, is_gone, send, why_refused};
use crate::{image, meeting, threads};

/// StealReason a worker did not come up.
pub(crate) struct StartError {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

/// The body of the thread that starts workers: brings up each that is asked for, and tells the service what
/// goes wrong; if all goes well, the worker itself says that it is ready.
pub(crate) fn run(service: &Arc<Service>, wanted: &Receiver<Start>) {
    while let Ok(Start::Worker(worker)) = wanted.recv() {
        let launched = contained(|| launch(service, worker)).and_then(|(down, pid)| {
            let ours = service.clone();
            let meet = move || {
                ours.has_begun(worker, contained(|| meet(&ours, worker, down, pid)));
            };
            threads::spawn(format!("farm-meet-{}", worker.0), meet)
                .map(drop)
                .map_err(|error| failed(pid, format!("no thread to meet it: {error}")))
        });
        service.has_begun(worker, launched);
    }
}

/// What the thread that starts workers is told.
pub(crate) enum Start {
    Worker(WorkerId),
    /// The pool has ended.
    NoMore,
}

impl Service {
    fn has_begun(self: &Arc<Self>, worker: WorkerId, outcome: Result<(), StartError>) {
        if let Err(error) = outcome {
            self.start_failed(worker, error);
            self.watch.kill(worker);
        }
    }
}

/// ipc-channel panics where the system refuses it something.
fn contained<T>(call: impl FnOnce() -> Result<T, StartError>) -> Result<T, StartError> {
    let refused = |said: String| failed(0, why_refused(&said));
    farm_core::backend::contained(call).map_err(refused).and_then(|outcome| outcome)
}

fn failed(pid: u32, reason: impl Into<String>) -> StartError {
    StartError { pid, reason: reason.into() }
}

/// Starts the process.
fn launch(service: &Arc<Service>, worker: WorkerId) -> Result<(IpcSender<Down>, u32), StartError> {
    keep_standard_descriptors();
    let (down, end) =
        meeting::open().map_err(|error| failed(0, format!("it has no channel: {error}")))?;
    let deadline = service.watch.clock.now().checked_add(service.settings.start_timeout);
    let child = spawn(service, worker, end)
        .map_err(|error| failed(0, format!("its process cannot be started: {error}")))?;
    let pid = child.id();
    service.expect(worker, pid);
    service
        .watch
        .add(worker, child, deadline)
        .map_err(|error| failed(pid, format!("it cannot be watched, as Linux 5.4 can: {error}")))?;
    Ok((down, pid))
}

/// Gives the worker what it needs to begin.
fn meet(
    service: &Service,
    worker: WorkerId,
    down: IpcSender<Down>,
    pid: u32,
) -> Result<(), StartError> {
    let (config, link) = service.link(down.clone())?;
    let welcome = Down::Welcome {
        worker,
        up: service.up(),
        config,
        memory_limit: service.settings.memory_limit,
        initializer: service.settings.initializer.clone(),
        facts: SharedFacts::of_this_program(),
        image: image::way(),
    };
    service.has_met(worker, link);
    if service.settings.pinned {
        service.set_apart(worker, pid);
    }
    // A worker that is dead cannot be reached; the watch knows how it ended, and says so.
    match send(&down, welcome) {
        Err(error) if !is_gone(&error) => {
            Err(failed(pid, format!("it cannot be reached: {error}")))
        }
        _ => Ok(()),
    }
}

/// Starts the running executable, whatever has become of its file, with the arguments of this process.
///
/// The worker leads a process group of its own: Ctrl-C and Ctrl-Z in a terminal are the program's affair.
fn spawn(service: &Service, worker: WorkerId, end: OwnedFd) -> io::Result<Child> {
    let output = service.watch.outputs.add(worker)?;
    let start = || {
        let mut command = Command::new("/proc/self/exe");
        service.origin.check_rights()?;
        if let Some(folder) = service.origin.folder()? {
            command.current_dir(folder);
        }
        command
            .arg0(WORKER_NAME)
            .args(std::env::args_os().skip(1))
            .env_clear()
            .envs(service.origin.environment.iter().map(|(name, value)| (name, value)))
            .envs(&service.environment)
            .env(CALL, call_of(Owner::this()))
            .stdin(end)
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .map_err(name_limit_of_threads)
    };
    start().inspect_err(|_| drop(service.watch.outputs.last_words(worker)))
}
