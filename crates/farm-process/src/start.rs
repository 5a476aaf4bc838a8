//! Bringing up a worker: start the process, meet it, check that it runs the same build.
//!
//! One thread starts the processes, and lives as long as they do: the kernel tells a worker of the end of the
//! thread that started it, see [`crate::lifeline`]. Each worker is then met by a thread of its own, so that a
//! pool comes up as fast as its slowest worker. The meeting place is a one-shot server of ipc-channel. Its
//! `accept` cannot be given a limit of time, so the service does not wait for it: when the worker dies first,
//! or is killed because it is late, the watch says so, and [`Place::call_off`] goes there in its stead to
//! free the thread.

use std::io;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use farm_core::{Owner, WorkerId};
use ipc_channel::ipc::IpcOneShotServer;

use crate::init::{CALL, WORKER_NAME};
use crate::meeting::Place;
use crate::service::Service;
use crate::transport::{Down, Hello, send};
use crate::{meeting, threads};

type Server = IpcOneShotServer<Hello>;

/// Why a worker did not come up.
pub(crate) struct StartError {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

/// The body of the thread that starts workers: brings up each that is asked for, and tells the service what
/// goes wrong; if all goes well, the worker itself says that it is ready.
pub(crate) fn run(service: &Arc<Service>, wanted: &Receiver<Start>) {
    while let Ok(Start::Worker(worker)) = wanted.recv() {
        let launched = contained(|| launch(service, worker)).and_then(|(server, pid)| {
            let ours = service.clone();
            let meet = move || {
                ours.has_begun(worker, contained(|| meet(&ours, worker, server, pid)));
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

/// ipc-channel panics where the system refuses it descriptors.
fn contained<T>(call: impl FnOnce() -> Result<T, StartError>) -> Result<T, StartError> {
    let refused = |_| failed(0, "the system has refused descriptors for it (see `ulimit -n`)");
    catch_unwind(AssertUnwindSafe(call)).map_err(refused).and_then(|outcome| outcome)
}

fn failed(pid: u32, reason: impl Into<String>) -> StartError {
    StartError { pid, reason: reason.into() }
}

/// Starts the process.
fn launch(service: &Arc<Service>, worker: WorkerId) -> Result<(Server, u32), StartError> {
    let (server, place) = meeting::open().map_err(|reason| failed(0, reason))?;
    let deadline = service.watch.clock.now().checked_add(service.settings.start_timeout);
    let child = spawn(service, worker, &place)
        .map_err(|error| failed(0, format!("its process cannot be started: {error}")))?;
    let pid = child.id();
    service.expect_at(worker, pid, place);
    service
        .watch
        .add(worker, child, deadline)
        .map_err(|error| failed(pid, format!("it cannot be watched, as Linux 5.4 can: {error}")))?;
    Ok((server, pid))
}

/// Waits for the worker, and gives it what it needs to begin.
fn meet(service: &Service, worker: WorkerId, server: Server, pid: u32) -> Result<(), StartError> {
    let met = server.accept();
    service.met(worker);
    let (build_id, down) = match met {
        Ok((_, Hello::Worker { build_id, down })) => (build_id, down),
        // The watch knows how it ended, and says so.
        Ok((_, Hello::Gone)) => return Err(failed(pid, "it ended before it reported")),
        Err(error) => return Err(failed(pid, format!("it ended while it reported: {error}"))),
    };
    if build_id != farm_core::build_id() {
        return Err(failed(pid, "it runs another build than its master"));
    }
    let (means, link) = service.link(down.clone())?;
    let welcome = Down::Welcome {
        worker,
        up: service.up(),
        means,
        memory_limit: service.settings.memory_limit,
        initializer: service.settings.initializer.clone(),
    };
    service.has_met(worker, link);
    if service.settings.pinned {
        service.set_apart(worker, pid);
    }
    send(&down, welcome).map_err(|error| failed(pid, format!("it cannot be reached: {error}")))
}

/// Starts the running executable, whatever has become of its file, with the arguments of this process.
///
/// The worker leads a process group of its own: Ctrl-C and Ctrl-Z in a terminal are the program's affair.
fn spawn(service: &Service, worker: WorkerId, place: &Place) -> io::Result<Child> {
    let output = service.watch.outputs.add(worker)?;
    let start = || {
        Command::new("/proc/self/exe")
            .arg0(WORKER_NAME)
            .args(std::env::args_os().skip(1))
            .envs(&service.environment)
            .env(CALL, Owner::this().to_string())
            .stdin(place.as_input()?)
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
    };
    start().inspect_err(|_| drop(service.watch.outputs.last_words(worker)))
}
