//! A worker's end of its lane.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use farm_core::Stage;
use farm_core::backend::{Answer, Batch, Ending, Failure, FunctionRef, Items};
use farm_core::codec::{self, Encoded, Form};
use farm_os::limits::check_file;
use serde::{Deserialize, Serialize};

use super::block::{Access, Block};
use super::layout::{
    LONG_ROOM, MAY_SPIN, NEEDED, NOT_WANTED, PARKER, REFUSED, RING_DOWN, RING_UP, ROOM, TAKEN_UP,
    THERE, WANTED,
};
use super::master_waker::MasterWaker;
use super::memory::Memory;
use super::record::MOST_INLINE;
use super::record::{Beside, HEAD, Request, Response, Run};
use super::results::{ResultWriter, Results};
use super::ring::{Reader, Writer};
use super::spin::look;
use crate::kill_points::at_message;
use crate::transport::Broken;

/// How long a worker looks for its next task before it sleeps, if it may look without sleeping.
const SPIN: Duration = Duration::from_micros(50);

/// How often a worker yields its core before it sleeps. Where there are more workers than cores,
/// the next task comes from a thread that needs this core, and to be woken for each task costs more
/// than to yield.
const OFFERS: usize = 8;

/// How long an answer may lie unread before the worker wakes the receiver thread for it. If a
/// caller becomes the receiver within this time, the receiver thread need not be woken.
const PATIENCE: Duration = Duration::from_micros(10);

/// How many bytes are reserved for each block that a worker opens.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Reserved {
    lane: usize,
    arguments: usize,
    waker: usize,
}

impl Reserved {
    pub(super) fn of([lane, arguments, waker]: [usize; 3]) -> Self {
        Self { lane, arguments, waker }
    }
}

pub(crate) struct WorkerEnd {
    block: Block,
    arguments: Block,
    waker: MasterWaker<Block>,
    down: Reader,
    up: Writer,
    results: Results,
    taken_up: u64,
    /// Whether the receiver thread has still to be woken for the last answer, unless another thread
    /// reads that answer soon.
    owes_notify: bool,
    record: Vec<u8>,
}

/// A request from the master.
pub(crate) enum Command {
    Run(RunningTask),
    Evict,
    End,
}

/// A task that a worker has been sent.
#[derive(Clone, Copy)]
pub(crate) struct RunningTask {
    run: Run,
    /// How many of its items are answered, and how many more have their results in the open record.
    done: u32,
    open: u32,
    since: Option<Instant>,
}

impl WorkerEnd {
    /// Opens a lane by the descriptors that the worker got when it started.
    pub(crate) fn open(files: Vec<OwnedFd>, reserved: Reserved) -> io::Result<Self> {
        let files = <[OwnedFd; 3]>::try_from(files);
        let [lane, arguments, waker] =
            files.map_err(|_| io::Error::other("its descriptors were lost on the way"))?;
        let block = Block::open(lane.into(), reserved.lane, Access::Write)?;
        let arguments = Block::open(arguments.into(), reserved.arguments, Access::Read)?;
        let waker = Block::open(waker.into(), reserved.waker, Access::Write)?;
        Ok(Self {
            arguments,
            waker: MasterWaker::new(waker),
            down: Reader::new(RING_DOWN),
            up: Writer::new(RING_UP),
            results: Results::new(&block),
            taken_up: 0,
            owes_notify: false,
            record: Vec::new(),
            block,
        })
    }

    /// Waits for the next request from the master.
    pub(crate) fn next(&mut self) -> Result<Command, Broken> {
        at_message();
        self.wait();
        self.down.read(&self.block, &mut self.record)?;
        at_message();
        Ok(match Request::read(&self.record).ok_or(Broken)?.0 {
            Request::Evict => Command::Evict,
            Request::End => Command::End,
            Request::Run(run) => {
                let since = run.is_batch.then(Instant::now);
                Command::Run(RunningTask { run, done: 0, open: 0, since })
            }
        })
    }

    /// Waits until there is a record. Looks for it without sleeping for a while, if there is a core
    /// to spare, and then sleeps.
    fn wait(&mut self) {
        if self.down.has_record(&self.block) {
            // The next task may take long. The receiver thread is woken for the last answer before
            // that.
            self.notify_if_owed();
            return;
        }
        let Self { block, down, up, waker, owes_notify, .. } = self;
        let is_there = || down.has_record(block);
        look(is_there, |passed| {
            let may_spin = block.word(MAY_SPIN).load(Ordering::Relaxed) == 1;
            if *owes_notify && (passed > PATIENCE || !may_spin) {
                *owes_notify = false;
                if up.is_unread(block) {
                    waker.notify();
                }
            }
            may_spin && passed < SPIN
        });
        self.notify_if_owed();
        let Self { block, down, waker, .. } = self;
        for _ in 0..OFFERS {
            if down.has_record(block) {
                return;
            }
            std::thread::yield_now();
        }
        while !down.has_record(block) {
            PARKER.sleep(block, || {
                // Tasks that were sent and then stolen have left room in the ring down, of which no
                // answer tells the master. The fence of `Parker::sleep`, before this, pairs with
                // the one in `MasterEnd::catch_up`.
                let room = block.word(ROOM);
                if room.load(Ordering::Relaxed) == WANTED {
                    room.store(THERE, Ordering::Release);
                    waker.notify();
                }
                down.has_record(block)
            });
        }
    }

    /// Wakes the thread that is to be woken, if that has been put off and the last answer is still
    /// unread.
    fn notify_if_owed(&mut self) {
        if std::mem::take(&mut self.owes_notify) && self.up.is_unread(&self.block) {
            self.waker.notify();
        }
    }

    /// Takes up the next item of a task, and counts it as running.
    pub(crate) fn take_up(&mut self, running: &RunningTask) -> Option<u32> {
        // The item may take long. The receiver thread is woken for the last answer before that.
        self.notify_if_owed();
        let item = match running.run.claim {
            Some(claim) => claim.take_up(&self.block)?,
            None if running.done + running.open == 0 => 0,
            None => return None,
        };
        self.taken_up += 1;
        // Release: pairs with the acquire in `MasterEnd::taken_up`. A master that sees this count
        // also sees the answers that were written before.
        self.block.count(TAKEN_UP).store(self.taken_up, Ordering::Release);
        running.run.first.checked_add(item)
    }

    /// The encoded argument of an item.
    #[inline]
    fn argument<'a>(
        record: &'a [u8],
        arguments: &'a Block,
        running: &RunningTask,
        item: u32,
    ) -> Option<&'a [u8]> {
        let body = match running.run.beside {
            None => record.get(HEAD..)?,
            Some(Beside { at, bytes }) => {
                let (at, bytes) = (usize::try_from(at).ok()?, usize::try_from(bytes).ok()?);
                if at.checked_add(bytes)? > arguments.len() {
                    return None;
                }
                // SAFETY: the master wrote these bytes before it sent the task, and does not change
                // them until the task is answered.
                unsafe { arguments.bytes(at, bytes) }
            }
        };
        if running.is_batch() { Batch::item(body, item) } else { Some(body) }
    }

    /// The encoded argument of a task that is not a batch, and the output buffer for its result.
    pub(crate) fn unpack(
        &mut self,
        running: &RunningTask,
        item: u32,
    ) -> Option<(&[u8], ResultWriter<'_>)> {
        let Self { record, arguments, results, block, .. } = self;
        let argument = Self::argument(record, arguments, running, item)?;
        Some((argument, results.writer(block)))
    }

    /// Answers for a task that has returned.
    pub(crate) fn returned(
        &mut self,
        running: &mut RunningTask,
        result: &Encoded,
        form: Form,
    ) -> Result<(), Broken> {
        let ending = Ending::of(&Ok(form));
        match result {
            Encoded::Heap(result) => self.say(running, ending, &[], result, None),
            Encoded::Buffered(bytes) => self.say(running, ending, &[], &[], Some(*bytes)),
        }
    }

    /// Answers for an item that has failed.
    pub(crate) fn failed(
        &mut self,
        running: &mut RunningTask,
        failure: &Failure,
    ) -> Result<(), Broken> {
        self.results.discard(&self.block);
        let ending = Ending::of(&Err(failure.clone()));
        let body = codec::encode(failure).unwrap_or_default();
        self.say(running, ending, &[], &body, None)
    }

    /// The items of a batch.
    pub(crate) fn items<'a>(&'a mut self, running: &'a mut RunningTask) -> BatchItems<'a> {
        BatchItems { lane: self, running, state: Ok(()) }
    }

    /// Answers for an item of a batch that has returned. A short result waits in the open record
    /// until that is full or the batch is [finished](Self::finish). If this process dies before,
    /// the master finds the result in the open record.
    #[inline]
    fn item_returned(
        &mut self,
        running: &mut RunningTask,
        result: &[u8],
        form: Form,
    ) -> Result<(), Broken> {
        if result.len() <= MOST_INLINE && form == Form::Compact {
            return self.add(running, result);
        }
        let time = Batch::time(running.lap());
        self.say(running, Ending::of(&Ok(form)), &time, result, None)
    }

    /// Adds a result of a batch to the open record.
    fn add(&mut self, running: &mut RunningTask, result: &[u8]) -> Result<(), Broken> {
        let fits = running.open > 0 && self.up.open() + result.len() <= HEAD + MOST_INLINE;
        if !(fits && self.up.add(&self.block, result)?) {
            if running.open > 0 {
                self.publish(running)?;
            }
            let (head, time) = (self.response(running, 0, Ending::Returned, None), [0; TIME]);
            self.wait_for_room(HEAD + TIME + result.len())?;
            for part in [head.header().bytes(), &time, result] {
                self.up.add(&self.block, part)?;
            }
        }
        running.open += 1;
        Ok(())
    }

    /// Publishes the results that are in the open record, if there are any.
    fn finish(&mut self, running: &mut RunningTask) -> Result<(), Broken> {
        if running.open > 0 { self.publish(running) } else { Ok(()) }
    }

    /// Confirms that the arrays that the master has dropped are unmapped.
    pub(crate) fn confirm_eviction(&mut self) -> Result<(), Broken> {
        self.wait_for_room(HEAD)?;
        flush();
        self.up.add(&self.block, Response::Evicted.header().bytes())?;
        self.close();
        self.waker.notify();
        Ok(())
    }

    /// Answers for one item in a record of its own. The body of the record is `head`, followed by
    /// `body` or, if the result lies in the output buffer, by the `buffered` bytes there.
    fn say(
        &mut self,
        running: &mut RunningTask,
        ending: Ending,
        head: &[u8],
        body: &[u8],
        buffered: Option<usize>,
    ) -> Result<(), Broken> {
        if buffered.is_none() && !Results::could_take(&self.block, body.len()) {
            let never = || format!("there is never room for its {} bytes", body.len());
            let reason =
                check_file(body.len()).map_or_else(|error| error.to_string(), |()| never());
            return self.failed(running, &Failure::NoRoom { stage: Stage::Result, reason });
        }
        self.finish(running)?;
        flush();
        if buffered.is_none() && head.len() + body.len() <= MOST_INLINE {
            self.wait_for_room(HEAD + head.len() + body.len())?;
            self.up.add(&self.block, self.response(running, 1, ending, None).header().bytes())?;
            self.up.add(&self.block, head)?;
            self.up.add(&self.block, body)?;
        } else {
            let Some(beside) = self.put_beside(head, body, buffered)? else {
                let bytes = body.len();
                let reason = format!(
                    "{bytes} bytes, for which its lane cannot grow, or is full of unread results"
                );
                return self.failed(running, &Failure::NoRoom { stage: Stage::Result, reason });
            };
            self.wait_for_room(2 * HEAD)?;
            let beside = Some(beside);
            self.up.add(&self.block, self.response(running, 1, ending, beside).header().bytes())?;
        }
        running.done += 1;
        self.close();
        self.notify_of_answer();
        Ok(())
    }

    /// Puts a long result into the lane, with `head` before it. Waits while the master makes room.
    /// Returns `None` if there is no memory for the result.
    fn put_beside(
        &mut self,
        head: &[u8],
        body: &[u8],
        buffered: Option<usize>,
    ) -> Result<Option<(usize, Beside)>, Broken> {
        let Self { results, block, waker, .. } = self;
        if let Some(bytes) = buffered {
            return results.commit(block, head, bytes).ok_or(Broken).map(Some);
        }
        let room = block.word(LONG_ROOM);
        loop {
            if let Some(beside) = results.put(block, head, body) {
                return Ok(Some(beside));
            }
            // No result lies in the lane, so the master cannot make room: the lane cannot grow.
            if results.is_empty() {
                return Ok(None);
            }
            if room.swap(NEEDED, Ordering::AcqRel) == REFUSED {
                room.store(NOT_WANTED, Ordering::Relaxed);
                return Ok(None);
            }
            // The master copies the results that are not read, and then wakes this worker.
            waker.notify();
            PARKER.sleep(block, || {
                room.load(Ordering::Acquire) != NEEDED || results.check_room(block, body.len())
            });
        }
    }

    /// Closes the open record, which is then the answer for all items in it.
    fn publish(&mut self, running: &mut RunningTask) -> Result<(), Broken> {
        flush();
        let head = self.response(running, running.open, Ending::Returned, None);
        self.up.amend(&self.block, 0, head.header().bytes());
        self.up.amend(&self.block, HEAD, &Batch::time(running.lap()));
        running.done += std::mem::take(&mut running.open);
        self.close();
        self.notify_of_answer();
        Ok(())
    }

    fn close(&mut self) {
        at_message();
        self.up.close(&self.block);
        at_message();
    }

    /// Wakes a caller that sleeps. The receiver thread is woken later, or not at all; see
    /// [`wait`](Self::wait).
    fn notify_of_answer(&mut self) {
        self.owes_notify = self.waker.notify_caller();
    }

    fn response(
        &self,
        running: &RunningTask,
        count: u32,
        ending: Ending,
        beside: Option<(usize, Beside)>,
    ) -> Response {
        let Run { task, attempt, first, .. } = running.run;
        let answer = Answer { task, attempt, first: first + running.done, count };
        let (place, beside) = beside.map_or((0, None), |(place, beside)| (place, Some(beside)));
        Response::Done { answer, ending, place, beside }
    }

    /// Waits until the master has read enough for a record of so many bytes.
    fn wait_for_room(&mut self, bytes: usize) -> Result<(), Broken> {
        let Self { block, up, waker, .. } = self;
        if !up.could_take(bytes) {
            return Err(Broken);
        }
        while !up.check_room(block, bytes)? {
            waker.notify();
            PARKER.sleep(block, || up.check_room(block, bytes) != Ok(false));
        }
        Ok(())
    }
}

/// Flushes what a task has printed, so that it is out before the answer of the task.
///
/// This is called before the first byte of the answer is written, not between the first byte and
/// the last. The master looks at the place of the answer all the time. A lock or a fence between
/// the two would let it look there before the answer is complete.
fn flush() {
    let _ = io::stdout().flush();
}

/// The length of the time that stands before the results of a batch, in bytes.
const TIME: usize = Batch::time(Duration::ZERO).len();

/// The items of a batch that is being run.
pub(crate) struct BatchItems<'a> {
    lane: &'a mut WorkerEnd,
    running: &'a mut RunningTask,
    /// An error once the lane is broken.
    state: Result<(), Broken>,
}

impl BatchItems<'_> {
    /// The function that is to be called on each item.
    pub(crate) fn function(&self) -> FunctionRef {
        self.running.function()
    }

    /// Ends the batch: answers for the items that have been run and not been answered yet.
    pub(crate) fn finish(self) -> Result<(), Broken> {
        self.state?;
        self.lane.finish(self.running)
    }
}

impl Items for BatchItems<'_> {
    fn take_up(&mut self) -> Option<&[u8]> {
        self.state.ok()?;
        let item = self.lane.take_up(self.running)?;
        let WorkerEnd { record, arguments, .. } = &*self.lane;
        let argument = WorkerEnd::argument(record, arguments, self.running, item);
        if argument.is_none() {
            self.state = Err(Broken);
        }
        argument
    }

    fn returned(&mut self, result: &[u8], form: Form) {
        self.state = self.state.and_then(|()| self.lane.item_returned(self.running, result, form));
    }

    fn failed(&mut self, failure: Failure) {
        self.state = self.state.and_then(|()| self.lane.failed(self.running, &failure));
    }
}

impl RunningTask {
    pub(crate) fn function(&self) -> FunctionRef {
        self.run.function
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.run.is_batch
    }

    /// The time since the last call or, at the first call, since the batch was received.
    fn lap(&mut self) -> Duration {
        let now = Instant::now();
        self.since.replace(now).map_or(Duration::ZERO, |since| now - since)
    }
}
