//! The other side: a process that runs one task after the other.

use std::sync::atomic::{AtomicBool, Ordering};

use farm_core::{Failure, FromWorker, FunctionRef, ToWorker, WorkerId, codec};
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};

use crate::init::Call;
use crate::transport::{Body, Down, Hello, Up, receive, send};
use crate::{lifeline, meeting, signals};

/// Set once, before any task runs; it guards no other data.
static WORKER: AtomicBool = AtomicBool::new(false);

/// Whether this process is a worker.
pub(crate) fn is_this_process() -> bool {
    WORKER.load(Ordering::Relaxed)
}

/// Works for the master that has called, until it closes the channel.
pub(crate) fn main(call: &Call) -> ! {
    WORKER.store(true, Ordering::Relaxed);
    signals::begin_as_a_program_does();
    match report(call) {
        Some((worker, tasks, up)) => {
            work(worker, &tasks, &up);
            std::process::exit(0)
        }
        None => abandoned(call),
    }
}

/// Ends a process that was to be a worker of a master that is dead.
pub(crate) fn abandoned(call: &Call) -> ! {
    meeting::remove_if_deserted(&call.address);
    std::process::exit(1)
}

type Channel = (WorkerId, IpcReceiver<Down>, IpcSender<Up>);

/// Meets the master; `None` if it cannot be met.
fn report(call: &Call) -> Option<Channel> {
    let master = IpcSender::connect(call.address.clone()).ok()?;
    let (down, tasks) = ipc::channel().ok()?;
    send(&master, Hello::Worker { build_id: farm_core::build_id().to_vec(), down }).ok()?;
    match receive(&tasks) {
        Ok(Down::Welcome { worker, up }) => {
            match lifeline::tie_to(call.master) {
                Ok(()) => Some((worker, tasks, up)),
                Err(error) => {
                    // A master that has ended meanwhile is no news.
                    if std::os::unix::process::parent_id() == call.master {
                        eprintln!("{worker} cannot watch its master: {error}");
                    }
                    None
                }
            }
        }
        _ => None,
    }
}

/// Takes a task, runs it, sends the answer, until the master has no more to say or to hear.
fn work(worker: WorkerId, tasks: &IpcReceiver<Down>, up: &IpcSender<Up>) {
    let mut room = Vec::new();
    while let Ok(Down::Task { head: ToWorker::Run { task, attempt, function }, body }) =
        receive(tasks)
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
