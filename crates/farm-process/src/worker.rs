//! The main function of a worker process: it prepares itself, and then serves its master.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farm_core::WorkerId;
use farm_core::backend::{Failure, run};
use farm_os::Owner;
use ipc_channel::ipc::IpcSender;

use crate::os::{memory, signals};
use crate::pool::settings::Initializer;
use crate::spawn::bootstrap::{self, Inherited};
use crate::supervise::image::MastersImage;
use crate::supervise::lifeline;
use crate::transport::channel::ChannelServer;
use crate::transport::control::{Down, Up};
use crate::transport::ipc::{receive, send};
use crate::transport::lane::WorkerEnd;
use crate::transport::{End, Serve, TransportConfig};

/// The longest text, in bytes, in which a worker says why it cannot work. It easily fits into one
/// packet.
const LONGEST_REASON: usize = 4096;

/// Set once, before any task runs; it guards no other data.
static WORKER: AtomicBool = AtomicBool::new(false);

/// Whether this process is a worker.
pub(crate) fn is_this_process() -> bool {
    WORKER.load(Ordering::Relaxed)
}

/// Prepares this process, and serves `master` until the worker has to end.
pub(crate) fn main(master: Owner) -> ! {
    WORKER.store(true, Ordering::Relaxed);
    memory::limit_malloc_arenas();
    signals::begin_as_a_program_does();
    // The server is leaked, so that its parts are never dropped: ipc-channel panics when it closes
    // a descriptor that a task has already closed.
    let (Ok(end) | Err(end)) = get_ready(master).map(|server| Box::leak(server).serve());
    match end {
        End::DescriptorsLost => lifeline::leave(),
        End::Requested => std::process::exit(0),
        End::Unable => std::process::exit(1),
        End::Abandoned => abandoned(master),
    }
}

/// Ends a process whose master is probably dead, and removes the files of a master that is dead.
/// The channels of a dying process are closed some time before it counts as dead, so this waits for
/// up to a second.
pub(crate) fn abandoned(master: Owner) -> ! {
    for _ in 0..1000 {
        if master.has_ended() {
            master.remove_what_is_left();
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::process::exit(1)
}

/// Receives the descriptors and the welcome of the master, and prepares this process for tasks.
fn get_ready(master: Owner) -> Result<Box<dyn Serve>, End> {
    let Inherited { control, image, files } = bootstrap::take().map_err(|_| End::Abandoned)?;
    let Down::Welcome { worker, up, config, memory_limit, initializer, facts } = receive(&control)?
    else {
        return Err(End::Unable);
    };
    send(&up, Up::Met { worker }).map_err(|_| End::Abandoned)?;
    facts.take_over();
    let image = image.and_then(MastersImage::new);
    let server = prepare(master, image, memory_limit, initializer).and_then(|()| {
        let server: Box<dyn Serve> = match config {
            TransportConfig::Channel(counter) => {
                Box::new(ChannelServer { worker, tasks: control, up: up.clone(), counter })
            }
            TransportConfig::Lane(reserved) => Box::new(
                WorkerEnd::open(files, reserved)
                    .map_err(|error| format!("it cannot open its lane: {error}"))?,
            ),
        };
        Ok(server)
    });
    tell_outcome(&up, worker, server)
}

/// Tells the master that this worker is ready, or why it is not.
fn tell_outcome<T>(
    up: &IpcSender<Up>,
    worker: WorkerId,
    ready: Result<T, String>,
) -> Result<T, End> {
    let (message, outcome) = match ready {
        Ok(ready) => (Up::Ready { worker }, Ok(ready)),
        Err(mut reason) => {
            while reason.len() > LONGEST_REASON {
                reason.pop();
            }
            (Up::Unready { worker, reason }, Err(End::Unable))
        }
    };
    send(up, message).map_err(|_| End::Abandoned)?;
    outcome
}

/// Does what the master has asked for in its welcome, before the first task.
fn prepare(
    master: Owner,
    image: Option<MastersImage>,
    memory_limit: Option<u64>,
    initializer: Option<Initializer>,
) -> Result<(), String> {
    lifeline::tie_to(master, image)
        .map_err(|error| format!("it cannot watch its master: {error}"))?;
    if let Some(bytes) = memory_limit {
        memory::limit_this_process(bytes)
            .map_err(|error| format!("its memory cannot be limited: {error}"))?;
    }
    if let Some(Initializer { function, argument }) = initializer {
        lifeline::task_begins();
        // SAFETY: the master has encoded the argument, and the argument lends nothing.
        let done = unsafe { run(function, &argument, &mut Vec::new()) };
        lifeline::task_ends();
        done.map_err(|failure| match failure {
            Failure::Panicked { message, location, .. } => {
                let place = location.map(|place| format!(" at {place}")).unwrap_or_default();
                format!("its initializer panicked{place}: {message}")
            }
            other => format!("its initializer cannot be called: {other:?}"),
        })?;
    }
    Ok(())
}
