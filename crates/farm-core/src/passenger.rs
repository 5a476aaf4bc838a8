//! The seam by which shared arrays travel beside the bytes.
//!
//! A handle of a shared array encodes as a few bytes, and what makes it more than bytes, such as the
//! right to write to some rows, stays behind with the master as a [`Passenger`]. Passengers board while
//! an argument is encoded, are told what becomes of their task, and are reclaimed by their key while the
//! result is decoded. So no counter is shared with a worker that may die, and a handle can be encoded by
//! a farm alone: anywhere else [`board`] refuses.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What the master keeps of a handle while it is with a task.
///
/// It is dropped when the task's result is decoded without it, or never asked for.
pub trait Passenger: Send {
    /// The task is about to be handed to a worker, which may from then on use the array. If that is done
    /// `again`, the former worker is dead or has given up, and what it may have written is put back as it
    /// was.
    fn sent(&mut self, again: bool);
    /// The task has returned; the worker no longer uses the array.
    fn returned(&mut self);
    /// The task has failed, or its worker is dead: what it was allowed to write is not to be trusted.
    fn lost(&mut self);
    /// Gives what the decoded handle is made from; `None` if there can be no more of them.
    fn reclaim(&mut self) -> Option<Box<dyn Any>>;
}

/// Names a passenger on the wire, once in the life of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(u64);

/// Which way values are being encoded or decoded on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// The master encodes an argument.
    ArgumentOut {
        /// Whether the task may be sent more than once, so that what it may write has to be kept.
        repeatable: bool,
    },
    /// A worker decodes an argument.
    ArgumentIn,
    /// A worker encodes a result.
    ResultOut,
    /// The master decodes a result.
    ResultIn,
}

thread_local! {
    static CROSSING: Cell<Option<Crossing>> = const { Cell::new(None) };
    static ARRIVED: RefCell<Vec<Key>> = const { RefCell::new(Vec::new()) };
    static ABOARD: RefCell<Passengers> = const { RefCell::new(Passengers(Vec::new())) };
}

/// The passengers of one task.
#[derive(Default)]
pub struct Passengers(Vec<(Key, Box<dyn Passenger>)>);

impl Passengers {
    /// Tells all that their task is about to be handed to a worker, for the first time or again.
    pub fn sent(&mut self, again: bool) {
        self.0.iter_mut().for_each(|(_, passenger)| passenger.sent(again));
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all that their task has returned.
    pub fn returned(&mut self) {
        self.0.iter_mut().for_each(|(_, passenger)| passenger.returned());
    }

    /// Tells all that their task has failed.
    pub fn lost(&mut self) {
        self.0.iter_mut().for_each(|(_, passenger)| passenger.lost());
    }
}

impl std::fmt::Debug for Passengers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passengers", self.0.len())
    }
}

/// The way that is being gone on this thread, if any.
pub fn crossing() -> Option<Crossing> {
    CROSSING.get()
}

/// Takes a passenger aboard the argument that is being encoded, and gives the key to encode.
///
/// # Errors
///
/// Hands the passenger back if no farm is encoding an argument on this thread.
pub fn board(passenger: Box<dyn Passenger>) -> Result<Key, Box<dyn Passenger>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if !matches!(crossing(), Some(Crossing::ArgumentOut { .. })) {
        return Err(passenger);
    }
    // Relaxed: only uniqueness matters.
    let key = Key(NEXT.fetch_add(1, Ordering::Relaxed));
    ABOARD.with_borrow_mut(|aboard| aboard.0.push((key, passenger)));
    Ok(key)
}

/// Takes back what the passenger with this key keeps, while a result is being decoded.
///
/// `None` says that the handle in the reply is not one that this task was given, or was in it before.
pub fn reclaim(key: Key) -> Option<Box<dyn Any>> {
    ABOARD.with_borrow_mut(|aboard| {
        let (_, passenger) = aboard.0.iter_mut().find(|(other, _)| *other == key)?;
        passenger.reclaim()
    })
}

/// Notes that a handle with this key has arrived in the argument that is being decoded, and says whether
/// it is the first: a right that was lent once must not be had twice.
pub fn arrives(key: Key) -> bool {
    ARRIVED.with_borrow_mut(|arrived| {
        let first = !arrived.contains(&key);
        arrived.push(key);
        first
    })
}

/// Runs `body` as one crossing. `passengers` are those that can be reclaimed in it; those aboard at its
/// end come back.
pub(crate) fn cross<T>(
    way: Crossing,
    passengers: Passengers,
    body: impl FnOnce() -> T,
) -> (T, Passengers) {
    /// Restores the outer crossing, also when `body` panics.
    struct Outer(Option<Crossing>, Passengers);
    impl Drop for Outer {
        fn drop(&mut self) {
            CROSSING.set(self.0);
            ABOARD.set(std::mem::take(&mut self.1));
        }
    }
    if way == Crossing::ArgumentIn {
        ARRIVED.take();
    }
    let outer = Outer(CROSSING.replace(Some(way)), ABOARD.replace(passengers));
    let value = body();
    let aboard = ABOARD.take();
    drop(outer);
    (value, aboard)
}
