//! Where the outcomes of an envelope wait: each for itself, or many together, as they have come.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Weak};

use parking_lot::{Condvar, Mutex};

use crate::codec::CodecError;
use crate::run::decode_result;
use crate::{
    Data, Deliver, Envelope, Home, Outcome, Passengers, Payload, Reach, TaskError, TaskName,
};

/// The place of an envelope in the mailbox.
#[derive(Default)]
pub(crate) struct BatchSlot {
    arrived: Mutex<Arrived>,
    changed: Condvar,
}

#[derive(Default)]
struct Arrived {
    /// By the first item that each is about.
    pieces: BTreeMap<u32, Piece>,
    /// How many items they are about, in all that have come.
    items: usize,
}

struct Piece {
    items: Range<u32>,
    outcome: Result<Payload, TaskError>,
    /// Where in the results the first of the items is.
    at: usize,
}

impl Deliver for BatchSlot {
    fn deliver(
        &self,
        items: Range<u32>,
        outcome: Result<Payload, TaskError>,
        passengers: Passengers,
    ) {
        drop(passengers);
        let mut arrived = self.arrived.lock();
        arrived.items += items.len();
        let piece = Piece { items, outcome, at: Envelope::FIRST_RESULT };
        arrived.pieces.entry(piece.items.start).or_insert(piece);
        self.changed.notify_all();
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

/// What somebody waits for.
struct Part<'a>(&'a BatchSlot, Wanted);

#[derive(Clone, Copy)]
enum Wanted {
    /// The outcome of that item.
    Item(u32),
    /// So many outcomes.
    All(usize),
}

impl Part<'_> {
    fn is_in(arrived: &Arrived, wanted: Wanted) -> bool {
        match wanted {
            Wanted::Item(item) => arrived.pieces.contains_key(&item),
            Wanted::All(items) => arrived.items >= items,
        }
    }
}

impl Outcome for Part<'_> {
    fn is_in(&self) -> bool {
        Self::is_in(&self.0.arrived.lock(), self.1)
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
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Waits for the next outcome; `None` if there is none left. `told` is told how long how many items have taken.
    pub(crate) fn next<R: Data>(
        &mut self,
        told: impl FnOnce(std::time::Duration, usize),
    ) -> Option<Result<R, TaskError>> {
        let item = self.items.next()?;
        let mut piece = match self.piece.take() {
            Some(piece) => piece,
            None => {
                self.wait_for(Wanted::Item(item));
                let piece = self.slot.arrived.lock().pieces.remove(&item)?;
                if let Ok(results) = &piece.outcome {
                    told(Envelope::time_of(results.as_ref()), piece.items.len());
                }
                piece
            }
        };
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
        self.wait_for(Wanted::All(self.items.end as usize));
    }

    fn wait_for(&self, wanted: Wanted) {
        let part = Part(&self.slot, wanted);
        if !part.is_in()
            && let Some(home) = self.home.as_ref().and_then(Weak::upgrade)
        {
            home.attend(&part, None);
        }
        let mut arrived = self.slot.arrived.lock();
        while !Part::is_in(&arrived, wanted) {
            self.slot.changed.wait(&mut arrived);
        }
    }
}
