//! How a worker serves its lane: it takes a task, runs it and answers.

use std::mem::take;

use farm_core::backend::{run_each, run_to};
use farm_core::codec::{Encoded, Output};
use farm_core::loan::eviction;

use super::worker_end::{Command, WorkerEnd};
use crate::supervise::lifeline;
use crate::transport::{Broken, End, Serve};

/// The largest buffer for results, in bytes, that a worker keeps for its next task. Long results
/// are encoded in the lane instead.
const MOST_ROOM: usize = 64 << 10;

impl Serve for WorkerEnd {
    fn serve(&mut self) -> End {
        match self.serve_until_end() {
            Ok(()) => End::Requested,
            Err(Broken) => End::Unable,
        }
    }
}

impl WorkerEnd {
    fn serve_until_end(&mut self) -> Result<(), Broken> {
        let mut room = Vec::new();
        loop {
            let mut task = match self.next()? {
                Command::Run(task) => task,
                Command::Evict => {
                    eviction::evict();
                    self.confirm_eviction()?;
                    continue;
                }
                Command::End => return Ok(()),
            };
            lifeline::task_begins();
            if task.is_batch() {
                let mut items = self.items(&mut task);
                // SAFETY: the whole batch has arrived from the master, which lends nothing to its
                // items.
                unsafe { run_each(items.function(), &mut items, &mut room) };
                items.finish()?;
            } else if let Some(item) = self.take_up(&task) {
                let (argument, mut writer) = self.unpack(&task, item).ok_or(Broken)?;
                let mut output = Output::new(take(&mut room), Some(&mut writer));
                // SAFETY: the whole argument has arrived from the master, which lends nothing to
                // two tasks at once.
                let outcome = unsafe { run_to(task.function(), argument, &mut output) };
                let result = output.finish();
                match outcome {
                    Ok(form) => self.returned(&mut task, &result, form)?,
                    Err(failure) => self.failed(&mut task, &failure)?,
                }
                if let Encoded::Heap(heap) = result {
                    room = heap;
                }
            }
            lifeline::task_ends();
            // The buffer is used again, but one large result must not hold its memory for ever.
            if room.capacity() > MOST_ROOM {
                room = Vec::new();
            }
        }
    }
}
