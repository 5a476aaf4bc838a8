//! Where the outcomes of the envelopes of one map wait, as they come: each for itself, or many together.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::codec::CodecError;
use crate::run::decode_result;
use crate::{
    Data, Deliver, Envelope, Home, Outcome, Passengers, Payload, Reach, TaskError, TaskName,
};

/// What has come of all envelopes of one map.
#[derive(Default)]
pub(crate) struct Arrivals {
    arrived: Mutex<Arrived>,
    changed: Condvar,
    /// How many envelopes have all their outcomes. Changed under the lock; it can be read without.
    finished: AtomicUsize,
}

#[derive(Default)]
struct Arrived {
    /// By the envelope, and the first item that each is about.
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

    /// Waits until something is so; lends the pool this thread meanwhile.
    fn wait(&self, home: Option<&Weak<dyn Home>>, is_so: &dyn Fn(&Self, &Arrived) -> bool) {
        let wanted = Wanted(self, is_so);
        if !wanted.is_in()
            && let Some(home) = home.and_then(Weak::upgrade)
        {
            home.attend(&wanted, None);
        }
        let mut arrived = self.arrived.lock();
        while !is_so(self, &arrived) {
            self.changed.wait(&mut arrived);
        }
    }
}

/// What somebody waits for.
struct Wanted<'a>(&'a Arrivals, &'a dyn Fn(&Arrivals, &Arrived) -> bool);

impl Outcome for Wanted<'_> {
    fn is_in(&self) -> bool {
        self.1(self.0, &self.0.arrived.lock())
    }
}

/// The place of an envelope in the mailbox.
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
        passengers: Passengers,
    ) {
        drop(passengers);
        let mut arrived = self.arrivals.arrived.lock();
        if let Ok(results) = &outcome {
            arrived.took.0 += Envelope::time_of(results.as_ref());
            arrived.took.1 += items.len();
        }
        let count = items.len();
        let piece = Piece { items, outcome, at: Envelope::FIRST_RESULT };
        arrived.pieces.insert((self.number, piece.items.start), piece);
        if self.owed.fetch_sub(count, Ordering::Relaxed) == count {
            self.arrivals.finished.fetch_add(1, Ordering::Relaxed);
        }
        self.arrivals.changed.notify_all();
    }
}

/// The outcomes of an envelope, for who takes them in their order.
pub(crate) struct Batch {
    task: Arc<TaskName>,
    slot: Arc<BatchSlot>,
    home: Option<Weak<dyn Home>>,
    items: Range<u32>,
    /// What is being taken apart.
    piece: Option<Piece>,
    /// The size of its arguments.
    pub(crate) bytes: usize,
}

impl BatchSlot {
    /// A place for so many items of the envelope with that number.
    pub(crate) fn new(arrivals: &Arc<Arrivals>, number: usize, items: u32) -> Arc<Self> {
        let owed = AtomicUsize::new(items as usize);
        Arc::new(Self { arrivals: arrivals.clone(), number, owed })
    }
}

impl Batch {
    pub(crate) fn new(
        task: Arc<TaskName>,
        slot: Arc<BatchSlot>,
        home: Option<Weak<dyn Home>>,
        items: u32,
        bytes: usize,
    ) -> Self {
        Self { task, slot, home, items: 0..items, piece: None, bytes }
    }

    /// How many outcomes are left.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Waits until the next outcome is in, or until more envelopes than `finished` are finished; says whether it is in.
    pub(crate) fn wait_for_next(&mut self, finished: usize) -> bool {
        if self.piece.is_some() {
            return true;
        }
        let place = (self.slot.number, self.items.start);
        self.slot.arrivals.wait(self.home.as_ref(), &|arrivals, arrived| {
            arrived.pieces.contains_key(&place) || arrivals.finished() > finished
        });
        self.piece = self.slot.arrivals.arrived.lock().pieces.remove(&place);
        self.piece.is_some()
    }

    /// The next outcome, which has been waited for.
    pub(crate) fn next<R: Data>(&mut self) -> Option<Result<R, TaskError>> {
        let mut piece = self.piece.take()?;
        let item = self.items.next()?;
        let results = match piece.outcome {
            Ok(results) => results,
            Err(error) => return Some(Err(error)),
        };
        let result = match Envelope::result(results.as_ref(), piece.at) {
            Some((result, next)) => {
                piece.at = next;
                decode_result(result, Passengers::default())
            }
            None => Err(CodecError::Decode("it is not among what has arrived".to_owned())),
        };
        piece.items.start += 1;
        self.piece = (!piece.items.is_empty()).then(|| Piece {
            outcome: Ok(results),
            items: piece.items,
            at: piece.at,
        });
        Some(result.map_err(|error| TaskError::Decode {
            task: Arc::new(self.task.of_item(item)),
            what: "result",
            reason: error.to_string(),
        }))
    }

    /// Cancels what no worker has started.
    pub(crate) fn cancel(&self) {
        if let Some(home) = self.home.as_ref().and_then(Weak::upgrade) {
            home.cancel(self.task.id, Reach::Waiting);
        }
    }

    /// Waits until all have their outcome.
    pub(crate) fn wait(&self) {
        let slot = &self.slot;
        slot.arrivals.wait(self.home.as_ref(), &|_, _| slot.owed.load(Ordering::Relaxed) == 0);
    }
}
