//! The other side: a process that gets ready, and then runs one task after the other.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farm_core::codec::{self, Encoded, Form, Output};
use farm_core::{Ending, Failure, FromWorker, FunctionRef, Owner, Stage, ToWorker, WorkerId};
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcReceiver, IpcSender};

use rustix::io::Errno;

use crate::image::MastersImage;
use crate::lane::{Broken, Told, WorkerEnd};
use crate::mark::Mark;
use crate::settings::Initializer;
use crate::transport::{Body, Down, Means, Up, receive, send};
use crate::{lifeline, meeting, memory, signals};

/// How much a worker says, in bytes, of why it cannot work: as much as goes into a packet with ease.
const LONGEST_REASON: usize = 4096;

/// Set once, before any task runs; it guards no other data.
static WORKER: AtomicBool = AtomicBool::new(false);

/// Whether this process is a worker.
pub(crate) fn is_this_process() -> bool {
    WORKER.load(Ordering::Relaxed)
}

/// Works for the master that has called, until it is told to end.
pub(crate) fn main(master: Owner) -> ! {
    WORKER.store(true, Ordering::Relaxed);
    memory::be_modest_with_arenas();
    signals::begin_as_a_program_does();
    // What it holds goes with the process: ipc-channel panics where a task has closed a descriptor that it is to close.
    let (Ok(end) | Err(end)) = report(master).map(|desk| work(Box::leak(Box::new(desk))));
    match end {
        End::Robbed => lifeline::leave(),
        End::Told => std::process::exit(0),
        End::Unable => std::process::exit(1),
        End::Alone => abandoned(master),
    }
}

/// Why a worker ends.
enum End {
    /// The master has said so.
    Told,
    /// It cannot go on.
    Unable,
    /// Nobody is at the other end of its channel.
    Alone,
    /// A task has closed its channel.
    Robbed,
}

impl From<IpcError> for End {
    fn from(error: IpcError) -> Self {
        match error {
            IpcError::Disconnected => Self::Alone,
            IpcError::Io(error) => match Errno::from_io_error(&error) {
                Some(Errno::BADF | Errno::NOTSOCK) => Self::Robbed,
                Some(Errno::PIPE | Errno::CONNRESET) => Self::Alone,
                _ => Self::Unable,
            },
            IpcError::SerializationError(_) => Self::Unable,
        }
    }
}

/// Ends a process whose master is probably dead; the channels of a dying process are closed some time before
/// it counts as dead.
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

/// What a worker has to work with.
struct Desk {
    worker: WorkerId,
    tasks: IpcReceiver<Down>,
    up: IpcSender<Up>,
    tools: Tools,
}

enum Tools {
    Channel(Mark),
    Lane(Box<WorkerEnd>),
}

impl Tools {
    fn open(master: Owner, means: Means) -> Result<Self, String> {
        match means {
            Means::Channel(mark) => Ok(Self::Channel(mark)),
            Means::Lane(way) => {
                let end = WorkerEnd::open(master.pid(), way).map_err(|error| {
                    format!(
                        "it cannot open its lane: {error}; `transport(Transport::Channel)` of the pool's builder does \
                         without lanes"
                    )
                })?;
                Ok(Self::Lane(Box::new(end)))
            }
        }
    }
}

/// Meets the master, and gets ready for it.
fn report(master: Owner) -> Result<Desk, End> {
    let tasks = meeting::go().map_err(|_| End::Alone)?;
    let (worker, up, means, memory_limit, initializer, image) = match receive(&tasks)? {
        Down::Welcome { worker, up, means, memory_limit, initializer, facts, image } => {
            send(&up, Up::Met { worker }).map_err(|_| End::Alone)?;
            facts.take_over();
            (worker, up, means, memory_limit, initializer, image)
        }
        _ => return Err(End::Unable),
    };
    let image = image.and_then(|way| MastersImage::open(master.pid(), way));
    let is_ready = get_ready(master, image, memory_limit, initializer);
    match is_ready.and_then(|()| Tools::open(master, means)) {
        Ok(tools) => {
            send(&up, Up::Ready { worker }).map_err(|_| End::Alone)?;
            Ok(Desk { worker, tasks, up, tools })
        }
        Err(mut reason) => {
            while reason.len() > LONGEST_REASON {
                reason.pop();
            }
            send(&up, Up::Unready { worker, reason }).map_err(|_| End::Alone)?;
            Err(End::Unable)
        }
    }
}

fn get_ready(
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
        // SAFETY: the master has made the argument, which lends nothing.
        let done = unsafe { farm_core::run(function, &argument, &mut Vec::new()) };
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

/// Takes a task, runs it, sends the answer, until there is no more to be had or to be said.
fn work(Desk { worker, tasks, up, tools }: &mut Desk) -> End {
    match tools {
        Tools::Channel(mark) => work_by_channel(*worker, tasks, up, mark),
        Tools::Lane(lane) => match work_by_lane(lane) {
            Ok(()) => End::Told,
            Err(Broken) => End::Unable,
        },
    }
}

fn work_by_lane(lane: &mut WorkerEnd) -> Result<(), Broken> {
    let mut room = Vec::new();
    loop {
        let mut task = match lane.next()? {
            Told::Run(task) => task,
            Told::LetGo => {
                farm_core::keep::let_go();
                lane.has_let_go()?;
                continue;
            }
            Told::End => return Ok(()),
        };
        lifeline::task_begins();
        if task.is_envelope() {
            let mut items = lane.items(&mut task);
            // SAFETY: they have come whole from the master, which lends nothing to them.
            unsafe { farm_core::run_each(items.function(), &mut items, &mut room) };
            items.finish()?;
        } else if let Some(item) = lane.take_up(&task) {
            let (argument, mut vacancy) = lane.unpack(&task, item).ok_or(Broken)?;
            let mut output = Output::new(std::mem::take(&mut room), Some(&mut vacancy));
            // SAFETY: it has come whole from the master, which lends nothing to two tasks at once.
            let outcome = unsafe { farm_core::run_to(task.function(), argument, &mut output) };
            let result = output.finish();
            match outcome {
                Ok(form) => lane.returned(&mut task, &result, form)?,
                Err(failure) => lane.failed(&mut task, &failure)?,
            }
            if let Encoded::Heap(heap) = result {
                room = heap;
            }
        }
        lifeline::task_ends();
        // The room is used again, but one large result does not hold its memory for ever.
        if room.capacity() > MOST_ROOM {
            room = Vec::new();
        }
    }
}

/// How much room for a result a worker keeps for the next one. Longer results lie in its lane.
const MOST_ROOM: usize = 64 << 10;

fn work_by_channel(
    worker: WorkerId,
    tasks: &IpcReceiver<Down>,
    up: &IpcSender<Up>,
    mark: &Mark,
) -> End {
    let mut room = Vec::new();
    loop {
        let (ToWorker::Run { task, attempt, function }, body) = match receive(tasks) {
            Ok(Down::Task { head, body }) => (head, body),
            Ok(Down::LetGo) => {
                farm_core::keep::let_go();
                match send(up, Up::LetGo { worker }) {
                    Ok(()) => continue,
                    Err(error) => return error.into(),
                }
            }
            Ok(Down::End) => return End::Told,
            Ok(Down::Welcome { .. }) => return End::Unable,
            Err(error) => return error.into(),
        };
        lifeline::task_begins();
        mark.take_up();
        let mut outcome = run(function, body, &mut room);
        let result = match &outcome {
            Ok(_) => Body::new(&room),
            Err(failure) => Body::new(&codec::encode(failure).unwrap_or_default()),
        };
        let body = result.or_else(|reason| {
            let failure = Failure::NoRoom { stage: Stage::Result, reason };
            let body = Body::new(&codec::encode(&failure).unwrap_or_default());
            outcome = Err(failure);
            body
        });
        let ending = Ending::of(&outcome);
        // What the task has printed is out before its answer.
        let _ = io::stdout().flush();
        let Ok(body) = body else { return End::Unable };
        let head = FromWorker::Done { task, attempt, ending };
        if let Err(error) = send(up, Up::Message { worker, head, body }) {
            return error.into();
        }
        lifeline::task_ends();
        room.clear();
        room.shrink_to(1 << 20);
    }
}

fn run(function: FunctionRef, argument: Body, room: &mut Vec<u8>) -> Result<Form, Failure> {
    let lost = |reason| Failure::Decode { stage: Stage::Argument, reason };
    let argument = argument.open().map_err(lost)?;
    // What comes from the master is changed by nobody any more; but it has no need to be believed.
    let copy;
    let argument = match argument.as_slice() {
        Some(argument) => argument,
        None => {
            copy = argument.to_vec();
            &copy
        }
    };
    // SAFETY: it has come whole from the master, which lends nothing to two tasks at once.
    unsafe { farm_core::run(function, argument, room) }
}
