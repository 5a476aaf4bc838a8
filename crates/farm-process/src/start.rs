//! Bringing up a worker: start the process, meet it, check that it runs the same build.
//!
//! Each worker is brought up by a thread of its own, so that a pool comes up as fast as its slowest
//! worker. The meeting place is a one-shot server of ipc-channel. Its `accept` cannot be given a limit
//! of time, so the service does not wait for it: when the worker dies first, or is killed because it is
//! late, the watch says so, and [`Place::call_off`] goes there in its stead to free the thread.

use std::io;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command};
use std::sync::Arc;

use farm_core::{Owner, WorkerId};

use crate::init::{CALL, WORKER_NAME};
use crate::mark::Mark;
use crate::meeting::Place;
use crate::service::Service;
use crate::transport::{Down, Hello, send};
use crate::{meeting, signals};

/// Why a worker did not come up.
pub(crate) struct StartError {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

/// Brings up `worker` in the background, and tells the service how it went; if all goes well, the worker
/// itself says so when it is ready.
///
/// # Errors
///
/// If there is no thread to do so; the service is then told nothing.
pub(crate) fn start(service: &Arc<Service>, worker: WorkerId) -> Result<(), StartError> {
    let ours = service.clone();
    let body = move || {
        // ipc-channel panics where the system refuses it descriptors.
        let outcome = catch_unwind(AssertUnwindSafe(|| bring_up(&ours, worker)));
        let refused = |_| failed(0, "the system has refused descriptors for it (see `ulimit -n`)");
        if let Err(error) = outcome.map_err(refused).and_then(|outcome| outcome) {
            ours.start_failed(worker, error);
            ours.watch.kill(worker);
        }
    };
    let name = format!("farm-start-{}", worker.0);
    signals::none_for_threads_of(|| std::thread::Builder::new().name(name).spawn(body))
        .map(drop)
        .map_err(|error| failed(0, format!("no thread to start it from: {error}")))
}

fn failed(pid: u32, reason: impl Into<String>) -> StartError {
    StartError { pid, reason: reason.into() }
}

fn bring_up(service: &Arc<Service>, worker: WorkerId) -> Result<(), StartError> {
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
    let mark = Mark::new();
    let welcome = Down::Welcome {
        worker,
        up: service.up(),
        mark: mark.clone(),
        memory_limit: service.settings.memory_limit,
        initializer: service.settings.initializer.clone(),
    };
    service.has_met(worker, down.clone(), mark);
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
