//! What workers have printed and stderr has not taken yet.
//!
//! The program may hold stderr, as by `stderr().lock()`, or nobody may read it. So one thread alone writes there, and
//! whoever brings something waits no longer than a write takes that gets on: while stderr is slow, workers are held up
//! in printing as any program would be; when it has taken nothing for [`PATIENCE`], what is beyond [`MOST_WAITING`] is
//! dropped. How much that was is written in its place.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::output::LONGEST_LINE;

/// How much may wait.
pub(crate) const MOST_WAITING: usize = 1 << 20;

/// A stderr that takes nothing for so long counts as one that is not read.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) struct Queue {
    state: Mutex<State>,
    /// Signalled when something is there to be written, and when no more will come.
    news: Condvar,
    /// Signalled when something has been written, and at the end.
    written: Condvar,
}

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    /// How many bytes were dropped behind those.
    dropped: u64,
    /// How many bytes have been taken out and are not written yet.
    on_their_way: usize,
    /// Since when stderr has taken nothing, if there is something for it.
    waits_since: Option<Instant>,
    closed: bool,
    ended: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), news: Condvar::new(), written: Condvar::new() }
    }

    /// Brings whole lines; waits for room while stderr takes something now and then.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut state = self.state.lock();
        while !state.has_room(lines.len(), MOST_WAITING)
            && let Some(patience) = state.patience()
        {
            self.written.wait_until(&mut state, patience);
        }
        self.push_if_there_is_room(&mut state, lines, MOST_WAITING);
    }

    /// Brings what a dead worker has left; does not wait. There is some more room for that.
    pub(crate) fn push_of_the_dead(&self, lines: &[u8]) {
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

    /// No more will come.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.news.notify_all();
    }

    /// Waits until all is written and no more will come, or until stderr is not read.
    pub(crate) fn wait_until_written(&self) {
        let mut state = self.state.lock();
        // If nothing is there, what is still to come has that long.
        let begun = Instant::now();
        while !state.ended {
            let patience = state.waits_since.unwrap_or(begun) + PATIENCE;
            if Instant::now() >= patience {
                return;
            }
            self.written.wait_until(&mut state, patience);
        }
    }

    /// The body of the thread that writes.
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
                    // The program's stderr may be closed: then nobody is there to be told.
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

    /// Until when it makes sense to wait for room.
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

/// Where the last line ends of those that are written at a time.
fn end_of_lines(bytes: &[u8]) -> usize {
    let some = &bytes[..bytes.len().min(LONGEST_LINE)];
    some.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(some.len(), |at| at + 1)
}
