//! What workers write: it goes on to the program's stderr, and the last of it is kept for the error that
//! tells of a worker's death.
//!
//! stdout and stderr of a worker are one pipe. A thread of the pool passes on whole lines, so that those of
//! different workers do not mix. If the program's stderr is a pipe that nobody reads, that thread alone
//! waits. When a worker dies, the watch takes what is still in the pipe; it does not wait for its end,
//! because a program that the worker has started may hold it open.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use farm_core::WorkerId;
use parking_lot::{Condvar, Mutex};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;

/// How much of a worker's output is kept for its last words.
const TAIL: usize = 4096;

/// A line that is longer is passed on in parts.
const LONGEST_LINE: usize = 8192;

/// The part of a line that has come is passed on after so long without the rest.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// How much of dead workers' output may wait for a stderr that is not read; what is beyond is dropped.
const MOST_WAITING: usize = 1 << 20;

/// What the pool's end waits for the last output, if stderr is not read.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// The outputs of a pool's workers.
pub(crate) struct Outputs {
    state: Mutex<State>,
    ended: Condvar,
    bell: OwnedFd,
}

#[derive(Default)]
struct State {
    living: BTreeMap<WorkerId, Arc<Output>>,
    /// What dead workers have left in their pipes.
    left: Vec<u8>,
    closed: bool,
    ended: bool,
}

struct Output {
    pipe: PipeReader,
    /// Locked while the pipe is read, but not while something is passed on.
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    /// The part of a line that has come.
    part: Vec<u8>,
    tail: Vec<u8>,
    at_end: bool,
}

impl Outputs {
    pub(crate) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: Mutex::default(), ended: Condvar::new(), bell })
    }

    /// A pipe for a worker that is about to be started: what it gets as stdout and stderr.
    pub(crate) fn add(&self, worker: WorkerId) -> io::Result<PipeWriter> {
        let (pipe, end) = io::pipe()?;
        rustix::io::ioctl_fionbio(&pipe, true)?;
        let output = Output { pipe, lines: Mutex::default() };
        self.state.lock().living.insert(worker, Arc::new(output));
        self.ring();
        Ok(end)
    }

    /// The worker is dead: takes the rest of what it has written, and gives its last lines.
    pub(crate) fn last_words(&self, worker: WorkerId) -> Arc<str> {
        let Some(output) = self.state.lock().living.remove(&worker) else { return "".into() };
        let mut lines = output.lines.lock();
        let mut left = Vec::new();
        // More than a pipe holds is not the dead worker's.
        while left.len() < MOST_WAITING && lines.read(&output.pipe, &mut left) {}
        left.append(&mut lines.part);
        if left.last().is_some_and(|byte| *byte != b'\n') {
            left.push(b'\n');
        }
        let mut state = self.state.lock();
        if state.left.len() + left.len() <= MOST_WAITING {
            state.left.append(&mut left);
        }
        drop(state);
        self.ring();
        lines.last()
    }

    /// No more workers will be added; waits for the last output, but not for ever.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        self.ring();
        while !state.ended {
            if self.ended.wait_for(&mut state, LAST_WAIT).timed_out() {
                return;
            }
        }
    }

    /// The body of the thread that passes the output on.
    pub(crate) fn run(&self) {
        loop {
            let (outputs, left, last) = {
                let mut state = self.state.lock();
                let outputs: Vec<_> = state.living.values().cloned().collect();
                let last = state.closed && outputs.is_empty();
                (outputs, std::mem::take(&mut state.left), last)
            };
            pass_on(&left);
            if last {
                self.state.lock().ended = true;
                self.ended.notify_all();
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
                pass_on(&whole);
            }
        }
    }

    /// Sleeps until there is something to read; says whether nothing has come for a while.
    fn sleep(&self, outputs: &[Arc<Output>]) -> bool {
        let mut polled = vec![PollFd::new(&self.bell, PollFlags::IN)];
        let mut has_part = false;
        for output in outputs {
            let lines = output.lines.lock();
            has_part |= !lines.part.is_empty();
            if !lines.at_end {
                polled.push(PollFd::new(&output.pipe, PollFlags::IN));
            }
        }
        let ready = poll(&mut polled, has_part.then_some(&PATIENCE));
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        ready == Ok(0)
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Lines {
    /// Reads what there is, at most a buffer full, and moves whole lines to `whole`; says whether there was
    /// anything.
    fn read(&mut self, mut pipe: &PipeReader, whole: &mut Vec<u8>) -> bool {
        let mut buffer = [0; 8192];
        let n = match pipe.read(&mut buffer) {
            Ok(0) => {
                self.at_end = true;
                0
            }
            Ok(n) => n,
            // Nothing there, or interrupted.
            Err(_) => 0,
        };
        let news = &buffer[..n];
        self.tail.extend(news);
        if self.tail.len() > 2 * TAIL {
            self.shorten_tail();
        }
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

    /// Keeps the last whole lines of the tail, or what fits of a longer one.
    fn shorten_tail(&mut self) {
        let too_much = self.tail.len().saturating_sub(TAIL);
        if too_much > 0 {
            let end = self.tail[too_much..].iter().position(|byte| *byte == b'\n');
            let lines = end.map(|end| too_much + end + 1).filter(|start| *start < self.tail.len());
            self.tail.drain(..lines.unwrap_or(too_much));
        }
    }

    fn last(&mut self) -> Arc<str> {
        self.shorten_tail();
        String::from_utf8_lossy(&self.tail).trim().into()
    }
}

/// The program's stderr may be closed: then nobody is there to be told.
fn pass_on(bytes: &[u8]) {
    if !bytes.is_empty() {
        let _ = io::stderr().write_all(bytes);
    }
}
