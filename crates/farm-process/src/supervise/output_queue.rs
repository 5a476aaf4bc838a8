//! The output of workers that stderr has not taken yet.
//!
//! The program may hold stderr, as by `stderr().lock()`, or nothing may read it. So only one thread
//! writes there, and a thread that adds output waits only while the writing makes progress: while
//! stderr is slow, workers are slowed down in printing, as any program would be. When stderr has
//! taken nothing for [`PATIENCE`], output beyond [`MOST_WAITING`] is dropped, and a line with the
//! number of dropped bytes takes its place.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::tail::LONGEST_LINE;

/// How many bytes may wait.
pub(crate) const MOST_WAITING: usize = 1 << 20;

/// A stderr that takes nothing for this long counts as one that is not read.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Queue {
    state: Mutex<State>,
    /// Signalled when there is something to write, and when no more will be added.
    news: Condvar,
    /// Signalled when something has been written, and at the end.
    written: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// How many bytes were dropped after `bytes`.
    dropped: u64,
    /// How many bytes have been taken out of `bytes` and are not written yet.
    on_their_way: usize,
    /// Since when stderr has taken nothing; `None` while there is nothing for it.
    waits_since: Option<Instant>,
    closed: bool,
    ended: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), written: Condvar::new() }
    }

    /// Adds whole lines; waits for room as long as stderr makes progress.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut state = self.state.lock();
        while !state.has_room(lines.len(), MOST_WAITING)
            && let Some(patience) = state.patience()
        {
            self.written.wait_until(&mut state, patience);
        }
        self.push_if_there_is_room(&mut state, lines, MOST_WAITING);
    }

    /// Adds the last output of a dead worker. This does not wait, and may use twice the room.
    pub(crate) fn push_without_waiting(&self, lines: &[u8]) {
        self.push_if_there_is_room(&mut self.state.lock(), lines, 2 * MOST_WAITING);
    }

    fn push_if_there_is_room(&self, state: &mut State, lines: &[u8], most: usize) {
        if lines.is_empty() {
            return;
        }
        if state.has_room(lines.len(), most) {
            state.tell_what_was_dropped();
            state.bytes.extend_from_slice(lines);
        } else {
            state.dropped += lines.len() as u64;
        }
        state.waits_since.get_or_insert_with(Instant::now);
        self.news.notify_all();
    }

    /// Notes that no more output will be added.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_all();
    }

    /// Waits until all output is written and no more will be added, or until stderr takes nothing.
    pub(crate) fn wait_until_written(&self) {
        let mut state = self.state.lock();
        // If nothing waits, output that is still to be added has the same time.
        let begun = Instant::now();
        while !state.ended {
            let patience = state.waits_since.unwrap_or(begun) + PATIENCE;
            if Instant::now() >= patience {
                return;
            }
            self.written.wait_until(&mut state, patience);
        }
    }

    /// The body of the thread that writes to stderr.
    pub(crate) fn run(&self) {
        let mut state = self.state.lock();
        loop {
            state.tell_what_was_dropped();
            let bytes = std::mem::take(&mut state.bytes);
            if bytes.is_empty() {
                state.waits_since = None;
                if state.closed {
                    break;
                }
                self.news.wait(&mut state);
                continue;
            }
            state.on_their_way = bytes.len();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (lines, others) = rest.split_at(end_of_lines(rest));
                parking_lot::MutexGuard::unlocked(&mut state, || {
                    // The program's stderr may be closed, and then there is no other place to write
                    // to.
                    let _ = io::stderr().write_all(lines);
                });
                rest = others;
                state.on_their_way = rest.len();
                state.waits_since = Some(Instant::now());
                self.written.notify_all();
            }
        }
        state.ended = true;
        self.written.notify_all();
    }
}

impl State {
    fn has_room(&self, bytes: usize, most: usize) -> bool {
        self.bytes.len() + self.on_their_way + bytes <= most
    }

    /// How long to wait for room at most; `None` if stderr takes nothing.
    fn patience(&self) -> Option<Instant> {
        let patience = self.waits_since? + PATIENCE;
        (patience > Instant::now()).then_some(patience)
    }

    fn tell_what_was_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let line = format!(
                "farm: {dropped} bytes of what workers have printed are left out here: stderr was held or not read\n"
            );
            self.bytes.extend_from_slice(line.as_bytes());
        }
    }
}

/// The end of the lines that are written at a time.
fn end_of_lines(bytes: &[u8]) -> usize {
    let some = &bytes[..bytes.len().min(LONGEST_LINE)];
    some.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(some.len(), |at| at + 1)
}
