//! The worker's end of the channel: takes a task, runs it, sends the answer.

use std::io::{self, Write};

use farm_core::backend::{Ending, Failure, FromWorker, FunctionRef, ToWorker, run};
use farm_core::codec::{self, Form};
use farm_core::loan::eviction;
use farm_core::{Stage, WorkerId};
use ipc_channel::IpcError;
use ipc_channel::ipc::{IpcReceiver, IpcSender};
use rustix::io::Errno;

use super::{Body, TaskCounter};
use crate::supervise::lifeline;
use crate::transport::control::{Down, Up};
use crate::transport::ipc::{receive, send};
use crate::transport::{End, Serve};

/// A worker whose tasks come by its control channel.
pub(crate) struct ChannelServer {
    pub(crate) worker: WorkerId,
    pub(crate) tasks: IpcReceiver<Down>,
    pub(crate) up: IpcSender<Up>,
    pub(crate) counter: TaskCounter,
}

impl From<IpcError> for End {
    fn from(error: IpcError) -> Self {
        match error {
            IpcError::Disconnected => Self::Abandoned,
            IpcError::Io(error) => match Errno::from_io_error(&error) {
                Some(Errno::BADF | Errno::NOTSOCK) => Self::DescriptorsLost,
                Some(Errno::PIPE | Errno::CONNRESET) => Self::Abandoned,
                _ => Self::Unable,
            },
            IpcError::SerializationError(_) => Self::Unable,
        }
    }
}

impl Serve for ChannelServer {
    fn serve(&mut self) -> End {
        let (Ok(end) | Err(end)) = self.serve_until_error();
        end
    }
}

impl ChannelServer {
    fn serve_until_error(&self) -> Result<End, End> {
        let mut room = Vec::new();
        loop {
            match receive(&self.tasks)? {
                Down::Task { head, body } => self.run_task(head, body, &mut room)?,
                Down::Evict => {
                    eviction::evict();
                    send(&self.up, Up::Evicted { worker: self.worker })?;
                }
                Down::End => return Ok(End::Requested),
                Down::Welcome { .. } => return Err(End::Unable),
            }
        }
    }

    fn run_task(&self, head: ToWorker, argument: Body, room: &mut Vec<u8>) -> Result<(), End> {
        let ToWorker::Run { task, attempt, function } = head;
        lifeline::task_begins();
        self.counter.take_up();
        let mut outcome = run_on(function, argument, room);
        let result = match &outcome {
            Ok(_) => Body::new(room),
            Err(failure) => Body::new(&codec::encode(failure).unwrap_or_default()),
        };
        let body = result.or_else(|reason| {
            let failure = Failure::NoRoom { stage: Stage::Result, reason };
            let body = Body::new(&codec::encode(&failure).unwrap_or_default());
            outcome = Err(failure);
            body
        });
        let ending = Ending::of(&outcome);
        // The output of the task is flushed before its answer is sent.
        let _ = io::stdout().flush();
        let Ok(body) = body else { return Err(End::Unable) };
        let head = FromWorker::Done { task, attempt, ending };
        send(&self.up, Up::Message { worker: self.worker, head, body })?;
        lifeline::task_ends();
        room.clear();
        room.shrink_to(1 << 20);
        Ok(())
    }
}

fn run_on(function: FunctionRef, argument: Body, room: &mut Vec<u8>) -> Result<Form, Failure> {
    let lost = |reason| Failure::Decode { stage: Stage::Argument, reason };
    let argument = argument.open().map_err(lost)?;
    // Nothing changes the argument any more, but this does not rely on that: shared bytes are
    // copied.
    let copy;
    let argument = match argument.as_slice() {
        Some(argument) => argument,
        None => {
            copy = argument.to_vec();
            &copy
        }
    };
    // SAFETY: the whole argument has arrived from the master, which lends nothing to two tasks at
    // once.
    unsafe { run(function, argument, room) }
}
