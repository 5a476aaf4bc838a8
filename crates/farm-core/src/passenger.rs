//! The seam by which shared arrays travel beside the bytes.
//!
//! A handle of a shared array encodes as a few bytes, and what makes it more than bytes, such as the
//! right to write to some rows, stays behind with the master as a [`Passenger`]. Passengers board while
//! an argument is encoded, are told what becomes of their task, and are reclaimed by their key while the
//! result is decoded. So no counter is shared with a worker that may die, and a handle can be encoded by
//! a farm alone: anywhere else [`board`] refuses.
//!
//! On the worker's side the decoded handle is a [`Guest`]. It must be gone when its task ends, because from
//! then on the master lends what it stands for to others; one that is kept is found by [`run`](crate::run).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// What the master keeps of a handle while it is with a task.
///
/// It is dropped when the task's result is decoded without it, or never asked for.
pub trait Passenger: Send {
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
        /// Whether the task may be sent more than once, so that what it overwrites has to be kept.
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
    static GUESTS: RefCell<Vec<(Key, Arc<dyn Guest>)>> = const { RefCell::new(Vec::new()) };
    static ABOARD: RefCell<Passengers> = const { RefCell::new(Passengers(Vec::new())) };
}

/// What a handle is in the worker, as long as its task runs. Its text names it in errors.
pub trait Guest: fmt::Display + Send + Sync {
    /// It is kept beyond its task, in a process that cannot be ended for that: keeps `passengers` out for as long
    /// as it lives itself.
    fn strand(&self, passengers: Stranded);
}

/// The passengers of a task which has kept handles that it was lent.
pub type Stranded = Arc<Mutex<Passengers>>;

/// The passengers of one task.
#[derive(Default)]
pub struct Passengers(Vec<(Key, Box<dyn Passenger>)>);

impl Passengers {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells all that their task has failed.
    pub fn lost(&mut self) {
        self.0.iter_mut().for_each(|(_, passenger)| passenger.lost());
    }
}

impl fmt::Debug for Passengers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

/// Notes the guest that a handle with this key has become, in the argument that is being decoded, and says
/// whether it is the first: what was lent once must not be had twice.
///
/// The handle holds the guest for as long as it lives, and so do its clones.
pub fn arrives(key: Key, guest: Arc<dyn Guest>) -> bool {
    GUESTS.with_borrow_mut(|guests| {
        let first = guests.iter().all(|(other, _)| *other != key);
        guests.push((key, guest));
        first
    })
}

/// The names of those guests of the task that has just ended on this thread which somebody still holds.
pub(crate) fn escaped() -> Vec<String> {
    GUESTS.with_borrow_mut(|guests| {
        // Not by a count alone: what the last holder did happens before this.
        guests.retain_mut(|(_, guest)| Arc::get_mut(guest).is_none());
        guests.iter().map(|(_, guest)| guest.to_string()).collect()
    })
}

/// Leaves the passengers of that task out until the last of what it has kept is gone.
pub(crate) fn strand(passengers: Passengers) {
    let passengers = Arc::new(Mutex::new(passengers));
    GUESTS.take().into_iter().for_each(|(_, guest)| guest.strand(passengers.clone()));
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
        GUESTS.take();
    }
    let outer = Outer(CROSSING.replace(Some(way)), ABOARD.replace(passengers));
    let value = body();
    let aboard = ABOARD.take();
    drop(outer);
    (value, aboard)
}
