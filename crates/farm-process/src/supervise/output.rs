//! The output of workers: it is passed on to the program's stderr, and its end is kept for the
//! error that reports a worker's death.
//!
//! stdout and stderr of a worker are one pipe. One thread of the pool reads the pipes and passes on
//! whole lines, so that those of different workers do not mix; another thread writes them to
//! stderr, see [`Queue`]. When a worker dies, the watch reads the rest of its pipe. It does not
//! wait for the end of the pipe, because a program that the worker has started may hold it open.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::sync::Arc;

use farm_core::WorkerId;
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::output_queue::{MOST_WAITING, Queue};
use super::poll_waker::PollWaker;
use super::tail::{LONGEST_LINE, Tail};
use crate::os::descriptor::Own;

/// An incomplete line is passed on if its rest has not arrived after this time.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The outputs of a pool's workers.
pub(crate) struct Outputs {
    state: Mutex<State>,
    /// The output that stderr has not taken yet.
    pub(crate) queue: Queue,
    wake: PollWaker,
}

#[derive(Default)]
struct State {
    living: BTreeMap<WorkerId, Arc<Output>>,
    closed: bool,
}

struct Output {
    pipe: Own<PipeReader>,
    /// Locked while the pipe is read, but not while lines are passed on.
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    /// The part of an incomplete line that has arrived.
    part: Vec<u8>,
    tail: Tail,
    at_end: bool,
}

impl Outputs {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { state: Mutex::default(), queue: Queue::new(), wake: PollWaker::new()? })
    }

    /// Makes the pipe of a worker that is about to be started; returns the end that becomes its
    /// stdout and stderr.
    pub(crate) fn add(&self, worker: WorkerId) -> io::Result<PipeWriter> {
        let (pipe, end) = io::pipe()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let output = Output { pipe: Own::new(pipe)?, lines: Mutex::default() };
        self.state.lock().living.insert(worker, Arc::new(output));
        self.wake();
        Ok(end)
    }

    /// The worker is dead: passes on the rest of its output, and returns the lines that are kept
    /// for the error.
    pub(crate) fn last_output(&self, worker: WorkerId) -> Arc<str> {
        let Some(output) = self.state.lock().living.remove(&worker) else { return "".into() };
        let mut lines = output.lines.lock();
        let mut left = Vec::new();
        // If there is more than a pipe can hold, another process is writing it.
        while left.len() < MOST_WAITING && lines.read(&output.pipe, &mut left) {}
        left.append(&mut lines.part);
        if left.last().is_some_and(|byte| *byte != b'\n') {
            left.push(b'\n');
        }
        self.queue.push_without_waiting(&left);
        self.wake();
        lines.tail.last()
    }

    /// Notes that no more workers will be added, and waits until stderr has taken the last output,
    /// or takes no more.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake();
        self.queue.wait_until_written();
    }

    /// The body of the thread that reads the pipes.
    pub(crate) fn run(&self) {
        loop {
            let (outputs, last) = {
                let state = self.state.lock();
                let outputs: Vec<_> = state.living.values().cloned().collect();
                let last = state.closed && outputs.is_empty();
                (outputs, last)
            };
            if last {
                self.queue.close();
                return;
            }
            let quiet = self.sleep(&outputs);
            for output in outputs {
                let mut whole = Vec::new();
                {
                    let mut lines = output.lines.lock();
                    let news = lines.read(&output.pipe, &mut whole);
                    if (quiet && !news) || lines.part.len() > LONGEST_LINE {
                        whole.append(&mut lines.part);
                    }
                }
                self.queue.push(&whole);
            }
        }
    }

    /// Sleeps until there is something to read; returns whether nothing has arrived for a while.
    fn sleep(&self, outputs: &[Arc<Output>]) -> bool {
        let ends = self.wake.ends();
        let mut polled: Vec<_> = ends.receiver().into_iter().collect();
        let mut has_part = false;
        for output in outputs {
            let lines = output.lines.lock();
            has_part |= !lines.part.is_empty();
            if !lines.at_end
                && let Some(pipe) = output.pipe.get()
            {
                polled.push(PollFd::new(pipe, PollFlags::IN));
            }
        }
        // If the descriptor by which this thread is woken is gone, it looks again after a while.
        let ready = poll(&mut polled, (has_part || ends.receiver().is_none()).then_some(&PATIENCE));
        ends.drain();
        ready == Ok(0)
    }

    fn wake(&self) {
        self.wake.wake();
    }
}

impl Lines {
    /// Reads what the pipe has, at most one buffer full, and moves whole lines to `whole`; returns
    /// whether the pipe had anything.
    fn read(&mut self, pipe: &Own<PipeReader>, whole: &mut Vec<u8>) -> bool {
        let Some(mut pipe) = pipe.get() else {
            self.at_end = true;
            return false;
        };
        let mut buffer = [0; 8192];
        let n = match pipe.read(&mut buffer) {
            Ok(0) => {
                self.at_end = true;
                0
            }
            Ok(n) => n,
            // The pipe is empty, or the call was interrupted.
            Err(_) => 0,
        };
        let news = &buffer[..n];
        self.tail.add(news);
        // A progress line ends with a carriage return.
        match news.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) {
            Some(end) => {
                whole.append(&mut self.part);
                whole.extend(&news[..=end]);
                self.part.extend(&news[end + 1..]);
            }
            None => self.part.extend(news),
        }
        n > 0
    }
}
