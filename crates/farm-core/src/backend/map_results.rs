//! The outcomes of the batches of one map. They wait here until the map returns them; they arrive
//! one by one or many together.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::api::error::{Stage, TaskError};
use crate::backend::decode_result::decode_each;
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

/// The outcomes that have arrived of all batches of one map.
#[derive(Default)]
pub(crate) struct Arrivals {
    arrived: Mutex<Arrived>,
    changed: Condvar,
    /// The number of batches whose outcomes have all arrived. Deliveries change it under the lock
    /// of `arrived`, so that a thread that waits misses no change; it can be read without the lock.
    finished: AtomicUsize,
}

#[derive(Default)]
struct Arrived {
    /// By the number of the batch, and the first item of the piece.
    pieces: BTreeMap<(usize, u32), Piece>,
    /// The time that returned items have taken, and how many they were, since this was last asked
    /// for.
    took: (Duration, usize),
}

struct Piece {
    items: Range<u32>,
    outcome: Result<Payload, TaskError>,
    /// The position in the results of the first of the items.
    at: usize,
}

impl Arrivals {
    #[inline]
    pub(crate) fn finished(&self) -> usize {
        self.finished.load(Ordering::Relaxed)
    }

    /// Returns the time that returned items have taken, and how many they were, since the last
    /// call.
    pub(crate) fn took(&self) -> (Duration, usize) {
        std::mem::take(&mut self.arrived.lock().took)
    }

    /// Waits until `is_so` returns true; the pool uses this thread to receive meanwhile. Returns an
    /// error if no outcome will arrive in this process.
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

/// A condition for which a thread waits.
struct Wanted<'a>(&'a Arrivals, &'a dyn Fn(&Arrivals, &Arrived) -> bool);

impl Readiness for Wanted<'_> {
    fn is_ready(&self) -> bool {
        self.1(self.0, &self.0.arrived.lock())
    }
}

/// The place to which the outcomes of one batch are delivered.
pub(crate) struct BatchSlot {
    arrivals: Arc<Arrivals>,
    number: usize,
    /// The number of items that have no outcome yet.
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

/// The outcomes of one batch, to be taken in the order of the items.
pub(crate) struct PendingBatch {
    task: Arc<TaskName>,
    slot: Arc<BatchSlot>,
    home: Option<Weak<dyn PoolRef>>,
    items: Range<u32>,
    /// The results that are being decoded.
    piece: Option<Piece>,
    /// The error of the item before `items`, if it is still to be returned.
    failed: Option<TaskError>,
    /// The size of the encoded arguments, in bytes.
    pub(crate) bytes: usize,
}

impl BatchSlot {
    /// Counts items whose outcomes have arrived.
    fn has(&self, items: usize) {
        if self.owed.fetch_sub(items, Ordering::Relaxed) == items {
            self.arrivals.finished.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Makes the place for the outcomes of the batch with this number of items.
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

    /// Whether all outcomes have been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.failed.is_none()
    }

    /// Waits until the next outcome has arrived, or until more than `finished` batches are
    /// finished; returns whether the outcome has arrived.
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

    /// Decodes the next outcomes, after [`wait_for_next`](Self::wait_for_next), as far as they are
    /// results. If the next outcome is an error, returns it instead.
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

    /// Cancels the items that no worker has started.
    pub(crate) fn cancel(&self) {
        if let Ok(Some(home)) = reach(self.home.as_ref()) {
            home.cancel(self.task.id, CancelScope::Waiting);
        }
    }

    /// Waits until all outcomes have arrived.
    pub(crate) fn wait(&self) {
        let slot = &self.slot;
        let is_done: &dyn Fn(&_, &_) -> bool = &|_, _| slot.owed.load(Ordering::Relaxed) == 0;
        let _ = slot.arrivals.wait(self.home.as_ref(), is_done);
    }
}
