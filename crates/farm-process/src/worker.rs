//! The other side: a process that runs one task after the other.

use std::ffi::OsString;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use farm_core::{Failure, FromWorker, FunctionRef, ToWorker, WorkerId, codec};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};

use crate::transport::{Body, Down, Hello, Up, send};
use crate::{lifeline, sigpipe};

/// Set once, before any task runs; it guards no other data.
static WORKER: AtomicBool = AtomicBool::new(false);

/// Whether this process is a worker.
pub(crate) fn is_this_process() -> bool {
    WORKER.load(Ordering::Relaxed)
}

/// Works for the master at `address` until it closes the channel.
pub(crate) fn main(address: OsString) -> ! {
    WORKER.store(true, Ordering::Relaxed);
    sigpipe::ignore();
    match report(&address) {
        Some((worker, tasks, up)) => {
            work(worker, &tasks, &up);
            std::process::exit(0)
        }
        // The master is gone. It may have left the meeting place behind.
        None => {
            let place = Path::new(&address);
            let _ = std::fs::remove_file(place);
            let _ = place.parent().map(std::fs::remove_dir);
            std::process::exit(1)
        }
    }
}

type Channel = (WorkerId, IpcReceiver<Down>, IpcSender<Up>);

/// Meets the master.
fn report(address: &OsString) -> Option<Channel> {
    let master = IpcSender::connect(address.to_str()?.to_owned()).ok()?;
    let (down, tasks) = ipc::channel().ok()?;
    send(&master, Hello::Worker { build_id: farm_core::build_id().to_vec(), down }).ok()?;
    match tasks.recv() {
        Ok(Down::Welcome { worker, master, up }) => {
            if let Err(error) = lifeline::tie_to(master) {
                eprintln!("{worker} cannot watch its master: {error}");
                return None;
            }
            Some((worker, tasks, up))
        }
        _ => None,
    }
}

/// Takes a task, runs it, sends the answer, until the master has no more to say or to hear.
fn work(worker: WorkerId, tasks: &IpcReceiver<Down>, up: &IpcSender<Up>) {
    let mut room = Vec::new();
    while let Ok(Down::Task { head: ToWorker::Run { task, attempt, function }, body }) =
        tasks.recv()
    {
        let (returned, body) = match run(function, body, &mut room) {
            Ok(result) => (true, Ok(result)),
            Err(failure) => (false, Body::new(&codec::encode(&failure).unwrap_or_default())),
        };
        let Ok(body) = body else { return };
        let head = FromWorker::Done { task, attempt, returned };
        if send(up, Up::Message { worker, head, body }).is_err() {
            return;
        }
        // The room is used again, but one large result does not hold its memory for ever.
        room.clear();
        room.shrink_to(1 << 20);
    }
}

fn run(function: FunctionRef, argument: Body, room: &mut Vec<u8>) -> Result<Body, Failure> {
    let argument = argument.open().map_err(Failure::Decode)?;
    farm_core::run(function, argument.as_ref(), room)?;
    Body::new(room).map_err(Failure::Encode)
}
