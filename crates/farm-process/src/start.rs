//! Bringing up a worker: start the process, meet it, check that it runs the same build.
//!
//! Each worker is brought up by a thread of its own, so that a pool comes up as fast as its slowest
//! worker. The meeting place is a one-shot server of ipc-channel. Its `accept` cannot be given a limit
//! of time; so if the worker dies first, the watch goes to the meeting place in its stead.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use farm_core::WorkerId;
use ipc_channel::ipc::{IpcOneShotServer, IpcSender};

use crate::init::ADDRESS;
use crate::service::Service;
use crate::transport::{Down, Hello, send};

/// Brings up `worker` in the background, and tells the service how it went.
pub(crate) fn start(service: &Arc<Service>, worker: WorkerId) {
    let ours = service.clone();
    let name = format!("farm-start-{}", worker.0);
    let spawned = std::thread::Builder::new().name(name).spawn(move || {
        let outcome = bring_up(&ours, worker);
        ours.started(worker, outcome);
    });
    if let Err(error) = spawned {
        service.cannot_start(worker, &format!("no thread to start it from: {error}"));
    }
}

/// Why a worker did not come up.
pub(crate) struct StartError {
    pub(crate) pid: u32,
    pub(crate) reason: String,
}

fn bring_up(service: &Service, worker: WorkerId) -> Result<IpcSender<Down>, StartError> {
    let failed = |pid, reason: String| StartError { pid, reason };
    let (server, address) = IpcOneShotServer::<Hello>::new()
        .map_err(|error| failed(0, format!("no meeting place: {error}")))?;
    let child = command(service, &address)
        .and_then(|mut command| command.spawn())
        .map_err(|error| failed(0, format!("its process cannot be started: {error}")))?;
    let pid = child.id();
    service.expect_at(worker, address);
    let deadline = Instant::now().checked_add(service.settings.start_timeout);
    service.watch.add(worker, child, deadline).map_err(|error| {
        failed(pid, format!("it cannot be watched (Linux 5.3 or later is needed): {error}"))
    })?;
    let (build_id, down) = match server.accept() {
        Ok((_, Hello::Worker { build_id, down })) => (build_id, down),
        Ok((_, Hello::Gone)) | Err(_) => {
            service.watch.kill(worker);
            let reason = "it ended before it reported; is farm_process::init() reached in every run of main?";
            return Err(failed(pid, reason.to_owned()));
        }
    };
    if deadline.is_some_and(|at| at <= Instant::now()) {
        service.watch.kill(worker);
        return Err(failed(pid, "it took longer than the start timeout".to_owned()));
    }
    if build_id != farm_core::build_id() {
        service.watch.kill(worker);
        return Err(failed(pid, "it runs another build than its master".to_owned()));
    }
    let master = std::process::id().cast_signed();
    send(&down, Down::Welcome { worker, master, up: service.up() })
        .map_err(|error| failed(pid, format!("it cannot be reached: {error}")))?;
    Ok(down)
}

/// The running executable, whatever has become of its file, with the arguments of this process.
///
/// The worker leads a process group of its own: Ctrl-C and Ctrl-Z in a terminal are the program's affair.
fn command(service: &Service, address: &str) -> io::Result<Command> {
    let stdout = match io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => Stdio::from(stderr),
        // The program has closed its stderr.
        Err(_) => Stdio::null(),
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command
        .args(arguments)
        .envs(&service.environment)
        .env(ADDRESS, address)
        .stdin(Stdio::null())
        .stdout(stdout)
        .process_group(0);
    Ok(command)
}

/// Ends the wait for a worker that will never come to its meeting place.
pub(crate) fn call_off(address: String) {
    if let Ok(meeting) = IpcSender::connect(address) {
        let _ = send(&meeting, Hello::Gone);
    }
}
