//! Where the outcomes of the batches of one map wait, as they come: each for itself, or many together.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::api::error::{Stage, TaskError};
use crate::backend::decode::decode_each;
use crate::backend::master::CancelScope;
use crate::backend::payload::Payload;
use crate::backend::pool_ref::reach;
use crate::backend::pool_ref::{PoolRef, Readiness};
use crate::backend::slot::Deliver;
use crate::backend::task::TaskName;
use crate::loan::Loans;
use crate::wire::batch::Batch;
use crate::wire::codec::{Form, Setting, Source};
use crate::wire::function::Data;

/// What has come of all batches of one map.
#[derive(Default)]
pub(crate) struct Arrivals {
    arrived: Mutex<Arrived>,
    changed: Condvar,
    /// How many batches have all their outcomes. Changed under the lock; it can be read without.
    finished: AtomicUsize,
}

#[derive(Default)]
struct Arrived {
    /// By the batch, and the first item that each is about.
    pieces: BTreeMap<(usize, u32), Piece>,
    /// How long how many items have taken, since this was last asked.
    took: (Duration, usize),
}

struct Piece {
    items: Range<u32>,
    outcome: Result<Payload, TaskError>,
    /// Where in the results the first of the items is.
    at: usize,
}

impl Arrivals {
    #[inline]
    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// How long how many items have taken, since this was last asked.
    pub(crate) fn took(&self) -> (Duration, usize) {
        std::mem::take(&mut self.arrived.lock().took)
    }

    /// Waits until something is so; lends the pool this thread meanwhile. Or says why nothing will come to this process.
    fn wait(
        &self,
        home: Option<&Weak<dyn PoolRef>>,
        is_so: &dyn Fn(&Self, &Arrived) -> bool,
    ) -> Result<(), &'static str> {
        let wanted = Wanted(self, is_so);
        if !wanted.is_ready()
            && let Some(home) = reach(home)?
        {
            home.drive(&wanted, None);
        }
        let mut arrived = self.arrived.lock();
        while !is_so(self, &arrived) {
            self.changed.wait(&mut arrived);
        }
        Ok(())
    }
}

/// What somebody waits for.
struct Wanted<'a>(&'a Arrivals, &'a dyn Fn(&Arrivals, &Arrived) -> bool);

impl Readiness for Wanted<'_> {
    fn is_ready(&self) -> bool {
        self.1(self.0, &self.0.arrived.lock())
    }
}

/// The place of a batch in the mailbox.
pub(crate) struct BatchSlot {
    arrivals: Arc<Arrivals>,
    number: usize,
    /// How many items have no outcome yet.
    owed: AtomicUsize,
}

impl Deliver for BatchSlot {
    fn deliver(
        &self,
        items: Range<u32>,
        outcome: Result<Payload, TaskError>,
        loans: Loans,
    ) -> Option<Waker> {
        drop(loans);
        let mut arrived = self.arrivals.arrived.lock();
        if let Ok(results) = &outcome {
            arrived.took.0 += Batch::time_of(results.source());
            arrived.took.1 += items.len();
        }
        let count = items.len();
        let piece = Piece { items, outcome, at: Batch::FIRST_RESULT };
        arrived.pieces.insert((self.number, piece.items.start), piece);
        self.has(count);
        self.arrivals.changed.notify_all();
        None
    }
}

/// The outcomes of a batch, for who takes them in their order.
pub(crate) struct PendingBatch {
    task: Arc<TaskName>,
    slot: Arc<BatchSlot>,
    home: Option<Weak<dyn PoolRef>>,
    items: Range<u32>,
    /// What is being taken apart.
    piece: Option<Piece>,
    /// What is to be told before it.
    failed: Option<TaskError>,
    /// The size of its arguments.
    pub(crate) bytes: usize,
}

impl BatchSlot {
    /// So many more items have their outcome.
    fn has(&self, items: usize) {
        if self.owed.fetch_sub(items, Ordering::Relaxed) == items {
            self.arrivals.finished.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A place for so many items of the batch with that number.
    pub(crate) fn new(arrivals: &Arc<Arrivals>, number: usize, items: u32) -> Arc<Self> {
        let owed = AtomicUsize::new(items as usize);
        Arc::new(Self { arrivals: arrivals.clone(), number, owed })
    }
}

impl PendingBatch {
    pub(crate) fn new(
        task: Arc<TaskName>,
        slot: Arc<BatchSlot>,
        home: Option<Weak<dyn PoolRef>>,
        items: u32,
        bytes: usize,
    ) -> Self {
        Self { task, slot, home, items: 0..items, piece: None, failed: None, bytes }
    }

    /// Whether there are no outcomes left.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.failed.is_none()
    }

    /// Waits until the next outcome is in, or until more batches than `finished` are finished; says whether it is in.
    pub(crate) fn wait_for_next(&mut self, finished: usize) -> bool {
        if self.piece.is_some() || self.failed.is_some() {
            return true;
        }
        let place = (self.slot.number, self.items.start);
        let waited = self.slot.arrivals.wait(self.home.as_ref(), &|arrivals, arrived| {
            arrived.pieces.contains_key(&place) || arrivals.finished() > finished
        });
        if let Err(reason) = waited {
            let task = Arc::new(self.task.of_item(self.items.start));
            self.items.start += 1;
            self.slot.has(1);
            self.failed = Some(TaskError::NoWorkers { task, reason: reason.into() });
            return true;
        }
        self.piece = self.slot.arrivals.arrived.lock().pieces.remove(&place);
        self.piece.is_some()
    }

    /// Decodes the next outcomes, which have been waited for, as far as they are results. If the next is none, it is returned.
    pub(crate) fn take<R: Data>(&mut self, results: &mut VecDeque<R>) -> Option<TaskError> {
        if self.failed.is_some() {
            return self.failed.take();
        }
        let mut piece = self.piece.take()?;
        let encoded = match &piece.outcome {
            Ok(encoded) => encoded,
            Err(error) => {
                self.items.start = piece.items.end;
                return Some(error.clone());
            }
        };
        let before = results.len();
        let (mut left, at) = (piece.items.len(), &mut piece.at);
        let decoded = match (encoded.form(), encoded.source()) {
            (Form::Compact, Source::Own(bytes)) => {
                let next = || {
                    left = left.checked_sub(1)?;
                    let result = Batch::result(bytes, *at);
                    *at = result.map_or(usize::MAX, |(_, next)| next);
                    Some(result.map(|(result, _)| result))
                };
                decode_each(results, next, Setting::decode_compact)
            }
            (form, source) => {
                let next = || {
                    left = left.checked_sub(1)?;
                    let result = Batch::result_of(source, *at);
                    *at = result.map_or(usize::MAX, |(_, next)| next);
                    Some(result.map(|(result, _)| result))
                };
                decode_each(results, next, |setting, result| setting.decode(result, form))
            }
        };
        let count = results.len() - before;
        self.items.start += count as u32;
        if let Err(error) = decoded {
            let task = Arc::new(self.task.of_item(self.items.start));
            self.items.start += 1;
            self.failed =
                Some(TaskError::Decode { task, stage: Stage::Result, reason: error.to_string() });
        }
        piece.items.start = self.items.start;
        self.piece = (!piece.items.is_empty()).then_some(piece);
        if count == 0 { self.failed.take() } else { None }
    }

    /// Cancels what no worker has started.
    pub(crate) fn cancel(&self) {
        if let Ok(Some(home)) = reach(self.home.as_ref()) {
            home.cancel(self.task.id, CancelScope::Waiting);
        }
    }

    /// Waits until all have their outcome.
    pub(crate) fn wait(&self) {
        let slot = &self.slot;
        let is_done: &dyn Fn(&_, &_) -> bool = &|_, _| slot.owed.load(Ordering::Relaxed) == 0;
        let _ = slot.arrivals.wait(self.home.as_ref(), is_done);
    }
}
