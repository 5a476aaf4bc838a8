//! The master's end of a lane.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use farm_core::TaskId;
use farm_core::backend::{Answer, Attempt, Ending, Payload, StealAmount, Task};

use farm_os::fork::Here;
use farm_os::limits::check_file;

use super::block::Block;
use super::range_claim::{MOST_ITEMS, RangeClaim};

use super::layout::{
    CLAIM_COUNTS, CLAIMS, ENOUGH, LONG_ROOM, MAY_SPIN, NEEDED, NOT_WANTED, PARKER, REFUSED,
    RING_DOWN, RING_UP, ROOM, TAKEN_UP, THERE, WANTED, block_with, result_room,
};
use super::memory::Memory;
use super::record::{Beside, HEAD, Header, MOST_INLINE, Request, Response, Run};
use super::results::{self, LentResult};
use super::ring::{Reader, Writer};
use crate::transport::{Broken, Link, Unsent, WorkerEvent};

pub(crate) struct MasterEnd {
    here: Here,
    block: Arc<Block>,
    down: Writer,
    up: Reader,
    /// The tasks that the worker has been sent and has not answered, in the order in which they
    /// were sent.
    sent: VecDeque<Sent>,
    /// The records for which the ring has had no room yet: the header, the body, and the claim of
    /// the task.
    waiting: VecDeque<(Header, Option<Payload>, Option<RangeClaim>)>,
    /// The numbers of the claim counts that no task uses.
    free: Vec<usize>,
    tag: u16,
    record: Vec<u8>,
    /// How many bytes of records this end has read since the last flush.
    heard: usize,
    /// How far this end has read the ring up. `poll` writes it, and views read it. It is not read
    /// from the lane, where the worker could change it.
    read: Arc<AtomicU64>,
    /// Long results that were handed out and may still lie in the lane.
    lent: Vec<Weak<LentResult>>,
    /// Whether the worker has written something invalid. Then this end reads no further records.
    is_given_up: bool,
}

struct Sent {
    task: TaskId,
    attempt: Attempt,
    claim: Option<RangeClaim>,
    /// The item from which the claim counts.
    base: u32,
    /// The items that are neither answered nor stolen.
    items: Range<u32>,
    is_batch: bool,
}

impl MasterEnd {
    /// Makes a lane with `room` bytes for long results.
    pub(crate) fn new(room: usize) -> io::Result<Self> {
        Ok(Self {
            here: Here::new()?,
            block: Arc::new(Block::create("farm-lane", block_with(0), block_with(room))?),
            down: Writer::new(RING_DOWN),
            up: Reader::new(RING_UP),
            sent: VecDeque::new(),
            waiting: VecDeque::new(),
            free: (CLAIM_COUNTS..CLAIM_COUNTS + CLAIMS).collect(),
            tag: 0,
            record: Vec::new(),
            heard: 0,
            read: Arc::default(),
            lent: Vec::new(),
            is_given_up: false,
        })
    }

    /// The block of the lane. The worker gets a descriptor of it.
    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    fn write(
        &mut self,
        header: Header,
        body: Option<&Payload>,
        claim: Option<RangeClaim>,
    ) -> Result<(), Broken> {
        if self.waiting.is_empty() && self.try_to_write(&header, body)? {
            PARKER.wake(&*self.block);
            return Ok(());
        }
        self.waiting.push_back((header, body.cloned(), claim));
        self.catch_up()
    }

    fn try_to_write(&mut self, header: &Header, body: Option<&Payload>) -> Result<bool, Broken> {
        let body = body.and_then(Payload::as_slice).unwrap_or_default();
        let bytes = header.bytes().len() + body.len();
        if !self.down.could_take(bytes) {
            return Err(Broken);
        }
        let has_room = self.down.check_room(&*self.block, bytes)?;
        if has_room {
            self.down.add(&*self.block, header.bytes())?;
            self.down.add(&*self.block, body)?;
            self.down.close(&*self.block);
        }
        Ok(has_room)
    }

    /// Writes the records that wait for room, as far as there is room now.
    fn catch_up(&mut self) -> Result<(), Broken> {
        self.block.word(ROOM).store(WANTED, Ordering::Relaxed);
        // This fence pairs with the one in `Parker::sleep`. If this fence comes first, the worker
        // sees `WANTED` before it sleeps. Otherwise this thread sees here the tail that the worker
        // has stored before it went to sleep.
        Block::fence();
        while let Some((header, body, claim)) = self.waiting.pop_front() {
            if !self.try_to_write(&header, body.as_ref())? {
                self.waiting.push_front((header, body, claim));
                break;
            }
        }
        if self.waiting.is_empty() {
            self.block.word(ROOM).store(ENOUGH, Ordering::Relaxed);
        }
        PARKER.wake(&*self.block);
        Ok(())
    }

    /// The worker has no room for a long result: copies those that lie in the lane to the master's
    /// own memory.
    fn take_out_results(&mut self) {
        self.lent.retain(|lent| lent.upgrade().is_some_and(|lent| !lent.take_out()));
        let answer = if self.lent.is_empty() { NOT_WANTED } else { REFUSED };
        self.block.word(LONG_ROOM).store(answer, Ordering::Release);
        PARKER.wake(&*self.block);
    }

    /// Whether records wait for room, or `ROOM` has still to be reset because the worker has
    /// reported room for which nothing waits any more.
    fn waits(&self) -> bool {
        !self.waiting.is_empty() || self.block.word(ROOM).load(Ordering::Relaxed) == THERE
    }

    fn note_answered(&mut self, answer: Answer) -> Result<(), Broken> {
        let is_it = |sent: &Sent| {
            sent.task == answer.task
                && sent.attempt == answer.attempt
                && answer.count > 0
                && sent.items.start == answer.first
                && answer.count as usize <= sent.items.len()
        };
        let at = self.sent.iter().position(is_it).ok_or(Broken)?;
        self.sent[at].items.start += answer.count;
        self.forget_if_done(at);
        Ok(())
    }

    fn forget_if_done(&mut self, at: usize) {
        if self.sent[at].items.is_empty()
            && let Some(sent) = self.sent.remove(at)
        {
            self.free.extend(sent.claim.map(|claim| claim.n));
        }
    }
}

impl Link for MasterEnd {
    fn send(&mut self, task: &Task) -> Result<(), Unsent> {
        let bytes = task.argument.len();
        if bytes > MOST_INLINE && matches!(task.argument, Payload::Owned(_)) {
            return Err(Unsent::Refused(why_no_room(bytes)));
        }
        let is_batch = task.is_batch();
        debug_assert!(task.items.len() <= MOST_ITEMS as usize);
        // A worker without other tasks begins this task at once, so nothing could be stolen from
        // it.
        let claim = if is_batch || !self.sent.is_empty() {
            let n = self.free.pop().ok_or(Broken)?;
            self.tag = self.tag.wrapping_add(1);
            let claim = RangeClaim { n, tag: self.tag };
            claim.offer(&*self.block, task.items.len() as u32);
            Some(claim)
        } else {
            None
        };
        self.sent.push_back(Sent {
            task: task.id(),
            attempt: task.attempt,
            claim,
            base: task.items.start,
            items: task.items.clone(),
            is_batch,
        });
        let beside = match &task.argument {
            Payload::Placed(argument) => {
                Some(Beside { at: argument.offset(), bytes: argument.bytes().len() as u64 })
            }
            _ => None,
        };
        let request = Request::Run(Run {
            task: task.id(),
            attempt: task.attempt,
            function: task.function,
            claim,
            first: task.items.start,
            is_batch,
            beside,
        });
        Ok(self.write(request.header(), beside.is_none().then_some(&task.argument), claim)?)
    }

    fn request_eviction(&mut self) -> Result<(), Unsent> {
        Ok(self.write(Request::Evict.header(), None, None)?)
    }

    fn request_end(&mut self) -> Result<(), Unsent> {
        Ok(self.write(Request::End.header(), None, None)?)
    }

    fn taken_up(&self) -> u64 {
        self.block.count(TAKEN_UP).load(Ordering::Acquire)
    }

    fn poll(&mut self) -> Result<Option<WorkerEvent>, Broken> {
        if self.block.word(LONG_ROOM).load(Ordering::Acquire) == NEEDED {
            self.take_out_results();
        }
        if self.is_given_up || !self.up.has_record(&*self.block) {
            return Ok(None);
        }
        self.up.read(&*self.block, &mut self.record)?;
        self.heard += self.record.len();
        // `Relaxed` suffices: a thread that uses a view takes the dispatcher's lock before it reads
        // the ring.
        self.read.store(self.up.tail(), Ordering::Relaxed);
        let (response, body) = Response::read(&self.record).ok_or(Broken)?;
        let news = match response {
            Response::Evicted => WorkerEvent::Evicted,
            Response::Done { answer, ending, place, beside } => {
                let body = match beside {
                    None => Payload::from(body),
                    Some(beside) => {
                        let taken = results::take(self.here, &self.block, place, beside);
                        let lent = taken.ok_or(Broken)?;
                        self.lent.retain(|other| other.strong_count() > 0);
                        self.lent.push(Arc::downgrade(&lent));
                        Payload::Shared(lent)
                    }
                };
                self.note_answered(answer)?;
                WorkerEvent::Done { answer, ending, body }
            }
        };
        Ok(Some(news))
    }

    fn flush(&mut self, any: bool) -> Result<(), Broken> {
        if !any && !self.waits() {
            return Ok(());
        }
        if std::mem::take(&mut self.heard) > RING_UP.size / 4 {
            // The worker may be waiting for room. It waits only while most of the ring is unread;
            // even without their padding, those records have more bytes than this.
            PARKER.wake(&*self.block);
        }
        if self.waits() { self.catch_up() } else { Ok(()) }
    }

    fn steal(&mut self, task: TaskId, amount: StealAmount) -> Option<Range<u32>> {
        let at = self.sent.iter().rposition(|sent| sent.task == task)?;
        let sent = &mut self.sent[at];
        let claim = sent.claim?;
        let from =
            sent.base.checked_add(claim.steal(&*self.block, amount == StealAmount::Half)?)?;
        // A worker that writes to wrong addresses may have changed the claim.
        if !(sent.items.start..sent.items.end).contains(&from) {
            return None;
        }
        let items = from..std::mem::replace(&mut sent.items.end, from);
        if sent.items.is_empty() {
            // If the record of this task still waits for room, the worker need not get it.
            self.waiting.retain(|(_, _, other)| *other != Some(claim));
        }
        self.forget_if_done(at);
        Some(items)
    }

    fn left_behind(&mut self, answered: u64) -> Option<(Answer, Payload)> {
        let first = self.sent.front().filter(|sent| sent.is_batch && !self.is_given_up)?;
        let (task, attempt) = (first.task, first.attempt);
        let (start, left) = (first.items.start, first.items.len());
        // The item that the worker took up last was still running.
        let done = self.taken_up().checked_sub(answered)?.checked_sub(1)?;
        let done =
            u32::try_from(done).ok().filter(|done| (1..=left).contains(&(*done as usize)))?;
        let mut record = self.up.left_open(&*self.block);
        let Some((Response::Done { answer, ending: Ending::Returned, beside: None, .. }, _)) =
            Response::read(&record)
        else {
            return None;
        };
        if (answer.task, answer.first) != (task, start) || answer.attempt != attempt {
            return None;
        }
        self.sent[0].items.start += done;
        self.forget_if_done(0);
        record.drain(..HEAD);
        Some((Answer { count: done, ..answer }, record.into()))
    }

    fn give_up(&mut self) {
        self.is_given_up = true;
    }

    fn view(&self) -> Option<LaneView> {
        (!self.is_given_up).then(|| LaneView(self.block.clone(), self.read.clone()))
    }

    fn allow_spinning(&mut self, allowed: bool) {
        self.block.word(MAY_SPIN).store(u32::from(allowed), Ordering::Relaxed);
    }

    fn give_back_idle(&mut self) -> bool {
        let unread = self.lent.iter().filter_map(|lent| lent.upgrade()?.place());
        let mut unread: Vec<_> = unread.collect();
        if !self.sent.is_empty() {
            return false;
        }
        unread.sort_unstable_by_key(|place| place.start);
        let room = result_room(&self.block);
        let mut at = room.start;
        for place in unread.iter().chain([&(room.end..room.end)]) {
            if place.start > at {
                self.block.give_back(at, place.start - at);
            }
            at = place.end;
        }
        unread.is_empty()
    }
}

/// The reason why an argument of so many bytes is not in the arena.
fn why_no_room(bytes: usize) -> String {
    match check_file(bytes) {
        Err(error) => error.to_string(),
        Ok(()) => format!("there is no room for its {bytes} bytes among the arguments that wait"),
    }
}

/// A view of a lane, by which a thread sees without the dispatcher's lock whether there is
/// something to poll.
#[derive(Clone)]
pub(crate) struct LaneView(Arc<Block>, Arc<AtomicU64>);

impl LaneView {
    /// Whether the worker has written a record, has reported room for which the master waits, or
    /// needs room for a long result.
    pub(crate) fn has_news(&self) -> bool {
        RING_UP.has_record(&*self.0, self.1.load(Ordering::Relaxed))
            || self.0.word(ROOM).load(Ordering::Acquire) == THERE
            || self.0.word(LONG_ROOM).load(Ordering::Acquire) == NEEDED
    }
}
