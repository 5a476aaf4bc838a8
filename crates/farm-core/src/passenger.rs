//! The seam by which shared arrays travel beside the bytes.
//!
//! What a handle of a shared array encodes as is a [`Key`], and what makes it more than that goes two other ways.
//! The right to it, such as to write to some rows, stays behind with the master as a [`Passenger`]. What a worker
//! needs to know to open it is a lending, which the farm itself puts behind the encoded argument: user code
//! encodes and decodes arguments in any way it likes, and must not be able to lend what it does not have.
//!
//! ```text
//! master                                    worker
//! encode: board(passenger, lending) ──────▶ decode: claim(key) -> lending, once; the handle is a Guest
//! decode: reclaim(key) -> handle    ◀────── encode: the key
//! ```
//!
//! Passengers are told what becomes of their task. So no counter is shared with a worker that may die, and a
//! handle can be encoded by a farm alone: anywhere else [`board`] refuses.
//!
//! The decoded handle is a [`Guest`] of its task. It must be gone when the task ends, because from then on the
//! master lends what it stands for to others; one that is kept is found by [`run`](crate::run).

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Form, Output};

/// What the master keeps of a handle while it is with a task.
///
/// It is dropped when the task's result is decoded without it, or never asked for.
pub trait Passenger: Send {
    /// Whether nobody in this process has what the task is going to be given, now that its argument is dropped.
    fn is_alone(&mut self) -> bool;
    /// The task has failed, or its worker is dead: what it was allowed to write is not to be trusted.
    fn lost(&mut self);
    /// Gives what the decoded handle is made from; `None` if there can be no more of them.
    fn reclaim(&mut self) -> Option<Box<dyn Any>>;
    /// What was reclaimed is dropped, and the result is going to be decoded again.
    fn restart(&mut self);
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
    static FAILING: Cell<bool> = const { Cell::new(false) };
    // Most tasks have nothing to do with arrays. These tell whether there can be anything in the places below.
    static HAS_GUESTS: Cell<bool> = const { Cell::new(false) };
    static HAS_LUGGAGE: Cell<bool> = const { Cell::new(false) };
    /// Of the task that is running.
    static GUESTS: Kept<Vec<Arc<dyn Guest>>> = const { kept(Vec::new()) };
    /// Of the last task, if it has kept them.
    static ESCAPED: Kept<Vec<Arc<dyn Guest>>> = const { kept(Vec::new()) };
    static LUGGAGE: Kept<Luggage> = const { kept(Luggage::NONE) };
}

/// What is there between two calls, and empty when the thread ends. So it need not be dropped with its thread, and can be
/// reached after all that is: a program may end its pools then.
type Kept<T> = RefCell<ManuallyDrop<T>>;

const fn kept<T>(empty: T) -> Kept<T> {
    RefCell::new(ManuallyDrop::new(empty))
}

fn replace<T>(place: &'static LocalKey<Kept<T>>, other: T) -> T {
    ManuallyDrop::into_inner(place.replace(ManuallyDrop::new(other)))
}

/// Things by the keys of their handles. Most tasks have none: that is one null pointer, which costs next to
/// nothing to move and to drop.
#[expect(clippy::box_collection, reason = "one pointer, where there is nothing")]
struct Keyed<T>(Option<Box<Vec<(Key, T)>>>);

impl<T> Keyed<T> {
    const NONE: Self = Self(None);

    fn push(&mut self, key: Key, item: T) {
        self.0.get_or_insert_default().push((key, item));
    }

    #[inline]
    fn as_slice(&self) -> &[(Key, T)] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut (Key, T)> {
        self.0.iter_mut().flat_map(|items| items.iter_mut())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl<T> Default for Keyed<T> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<T> From<Vec<(Key, T)>> for Keyed<T> {
    fn from(items: Vec<(Key, T)>) -> Self {
        Self((!items.is_empty()).then(|| Box::new(items)))
    }
}

/// What the handles in one argument lend.
#[derive(Default)]
pub(crate) struct Lendings(Keyed<Vec<u8>>);

/// What crosses beside the bytes.
#[derive(Default)]
pub(crate) struct Luggage {
    /// Those that can be reclaimed; those that have boarded.
    pub(crate) passengers: Passengers,
    /// What can be claimed; what is lent.
    pub(crate) lendings: Lendings,
}

impl Luggage {
    const NONE: Self =
        Self { passengers: Passengers(Keyed::NONE), lendings: Lendings(Keyed::NONE) };

    #[inline]
    fn is_empty(&self) -> bool {
        self.passengers.0.is_empty() && self.lendings.0.is_empty()
    }
}

/// The bytes that tell how long the lendings behind an argument are.
const LENGTH: usize = 4;

/// Tells there that the argument is described, and not compact.
const DESCRIBED: u32 = 1 << 31;

fn too_short() -> CodecError {
    CodecError::Decode("it is too short".to_owned())
}

impl Lendings {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    /// What is behind a compact argument that lends nothing.
    pub(crate) const NOTHING: [u8; LENGTH] = [0; LENGTH];

    /// Puts them behind an encoded argument, with its form.
    #[inline]
    pub(crate) fn append_to(
        &self,
        argument: &mut Output<'_>,
        form: Form,
    ) -> Result<(), CodecError> {
        let before = argument.len();
        if !self.0.is_empty() {
            codec::encode_to(self.0.as_slice(), argument)?;
        }
        let length = u32::try_from(argument.len() - before).ok();
        let too_many = || CodecError::Encode("it has too many handles".to_owned());
        let length = length.filter(|length| length & DESCRIBED == 0).ok_or_else(too_many)?;
        let flag = if form == Form::Described { DESCRIBED } else { 0 };
        codec::put_to(&(length | flag).to_le_bytes(), argument)
    }

    /// Takes an argument and what is behind it apart.
    #[inline]
    pub(crate) fn split_from(bytes: &[u8]) -> Result<(&[u8], Form, Self), CodecError> {
        let (bytes, length) = bytes.split_last_chunk::<LENGTH>().ok_or_else(too_short)?;
        if *length == Self::NOTHING {
            return Ok((bytes, Form::Compact, Self::default()));
        }
        Self::split_more(bytes, u32::from_le_bytes(*length))
    }

    fn split_more(bytes: &[u8], length: u32) -> Result<(&[u8], Form, Self), CodecError> {
        let form = if length & DESCRIBED == 0 { Form::Compact } else { Form::Described };
        let length = (length & !DESCRIBED) as usize;
        let split = bytes.len().checked_sub(length).ok_or_else(too_short)?;
        let (argument, lendings) = bytes.split_at(split);
        if lendings.is_empty() {
            return Ok((argument, form, Self::default()));
        }
        let lendings: Vec<_> = codec::decode(lendings)?;
        Ok((argument, form, Self(lendings.into())))
    }
}

/// What a handle is in the worker, as long as its task runs. Its text names it in errors.
pub trait Guest: fmt::Display + Send + Sync {
    /// It is kept beyond its task, in a process that cannot be ended for that: keeps `passengers` out for as long
    /// as it lives itself.
    fn strand(&self, passengers: Stranded);
}

/// The passengers of a task which has kept handles that it was lent. Dropping the last clone lets them go.
#[derive(Clone)]
pub struct Stranded(#[allow(dead_code, reason = "it is held")] Arc<Mutex<Passengers>>);

/// The passengers of one task.
#[derive(Default)]
pub struct Passengers(Keyed<Box<dyn Passenger>>);

impl Passengers {
    /// Whether nobody else has what they stand for; see [`Passenger::is_alone`].
    pub fn are_alone(&mut self) -> bool {
        self.0.iter_mut().all(|(_, passenger)| passenger.is_alone())
    }

    /// Tells all that their task has failed.
    pub fn lost(&mut self) {
        self.0.iter_mut().for_each(|(_, passenger)| passenger.lost());
    }
}

impl fmt::Debug for Passengers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passengers", self.0.as_slice().len())
    }
}

/// The way that is being gone on this thread, if any.
pub fn crossing() -> Option<Crossing> {
    CROSSING.get()
}

/// Takes a passenger aboard the argument that is being encoded, and gives the key to encode. Whoever decodes it is
/// given the `lending`.
///
/// # Errors
///
/// Hands the passenger back if no farm is encoding an argument on this thread.
///
/// # Safety
///
/// As long as it is aboard, the passenger keeps for the task what the lending says, in the way in which whoever
/// [claims](claim) such lendings uses it.
pub unsafe fn board(
    passenger: Box<dyn Passenger>,
    lending: Vec<u8>,
) -> Result<Key, Box<dyn Passenger>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if !matches!(crossing(), Some(Crossing::ArgumentOut { .. })) {
        return Err(passenger);
    }
    // Relaxed: only uniqueness matters.
    let key = Key(NEXT.fetch_add(1, Ordering::Relaxed));
    HAS_LUGGAGE.set(true);
    LUGGAGE.with_borrow_mut(|luggage| {
        luggage.passengers.0.push(key, passenger);
        luggage.lendings.0.push(key, lending);
    });
    Ok(key)
}

/// Takes back what the passenger with this key keeps, while a result is being decoded.
///
/// `None` says that the handle in the reply is not one that this task was given, or was in it before.
pub fn reclaim(key: Key) -> Option<Box<dyn Any>> {
    if crossing() != Some(Crossing::ResultIn) {
        return None;
    }
    LUGGAGE.with_borrow_mut(|luggage| {
        let (_, passenger) = luggage.passengers.0.iter_mut().find(|(other, _)| *other == key)?;
        passenger.reclaim()
    })
}

/// Takes what is lent by the handle with this key, while an argument is being decoded.
///
/// `None` says that nothing is lent by that key, or was taken before: what is lent once must not be had twice.
pub fn claim(key: Key) -> Option<Vec<u8>> {
    if crossing() != Some(Crossing::ArgumentIn) {
        return None;
    }
    LUGGAGE.with_borrow_mut(|luggage| {
        let lendings = luggage.lendings.0.0.as_mut()?;
        let at = lendings.iter().position(|(other, _)| *other == key)?;
        Some(lendings.swap_remove(at).1)
    })
}

/// Lets the passengers off that have boarded the argument which is being encoded: it is going to be encoded again.
pub(crate) fn disembark() {
    if HAS_LUGGAGE.get() && matches!(crossing(), Some(Crossing::ArgumentOut { .. })) {
        drop(exchange(Luggage::default()));
    }
}

/// What can be claimed while an argument is being decoded, so that it can be decoded again.
pub(crate) struct Checkpoint(Vec<(Key, Vec<u8>)>);

impl Checkpoint {
    pub(crate) fn new() -> Self {
        let all = |luggage: &Luggage| luggage.lendings.0.as_slice().to_vec();
        Self(if HAS_LUGGAGE.get() {
            LUGGAGE.with_borrow(|luggage| all(luggage))
        } else {
            Vec::new()
        })
    }

    /// What has been claimed and reclaimed since can be again. The handles are dropped.
    pub(crate) fn restore(&self) {
        if crossing() == Some(Crossing::ArgumentIn) && HAS_GUESTS.replace(false) {
            drop(replace(&GUESTS, Vec::new()));
        }
        if HAS_LUGGAGE.get() {
            LUGGAGE.with_borrow_mut(|luggage| {
                luggage.lendings = Lendings(self.0.clone().into());
                luggage.passengers.0.iter_mut().for_each(|(_, passenger)| passenger.restart());
            });
        }
    }
}

/// Notes the guest that a decoded handle is, which completes what [`claim`] has begun. The handle holds it for as long as
/// it lives, and so do its clones.
///
/// # Safety
///
/// The guest keeps what it is given when it is [stranded](Guest::strand), and neither that, nor its text, nor its `Drop`
/// panics.
pub unsafe fn receive(guest: Arc<dyn Guest>) {
    HAS_GUESTS.set(true);
    GUESTS.with_borrow_mut(|guests| guests.push(guest));
}

/// Whether the argument that is being encoded on this thread has passengers.
#[inline]
pub(crate) fn are_aboard() -> bool {
    HAS_LUGGAGE.get()
}

/// How many handles the task that is beginning on this thread has received.
#[inline]
pub(crate) fn received() -> usize {
    if HAS_GUESTS.get() { GUESTS.with_borrow(|guests| guests.len()) } else { 0 }
}

/// As many kept handles are told by name.
const MOST_NAMES: usize = 20;

/// The names of those guests of the task that has just ended on this thread which somebody still holds.
#[inline]
pub(crate) fn escaped() -> Vec<String> {
    if HAS_GUESTS.replace(false) { look_for_escaped() } else { Vec::new() }
}

fn look_for_escaped() -> Vec<String> {
    let mut guests = replace(&GUESTS, Vec::new());
    // Not by a count alone: what the last holder did happens before this.
    guests.retain_mut(|guest| Arc::get_mut(guest).is_none());
    let mut names: Vec<_> = guests.iter().take(MOST_NAMES).map(|g| g.to_string()).collect();
    if guests.len() > MOST_NAMES {
        names.push(format!("and {} more", guests.len() - MOST_NAMES));
    }
    if !guests.is_empty() {
        drop(replace(&ESCAPED, guests));
    }
    names
}

/// Whether what is being dropped on this thread was left by a task that has failed.
pub fn is_failing() -> bool {
    FAILING.get() || std::thread::panicking()
}

/// Drops what a task that has failed has left.
pub(crate) fn drop_as_failed<T>(left: T) {
    let outer = FAILING.replace(true);
    drop(left);
    FAILING.set(outer);
}

/// Leaves the passengers of that task out until the last of what it has kept is gone.
pub(crate) fn strand(passengers: Passengers) {
    let passengers = Stranded(Arc::new(Mutex::new(passengers)));
    replace(&ESCAPED, Vec::new()).into_iter().for_each(|guest| guest.strand(passengers.clone()));
}

/// Puts `luggage` in the place of what is there.
#[inline]
fn exchange(luggage: Luggage) -> Luggage {
    let has_some = !luggage.is_empty();
    if HAS_LUGGAGE.replace(has_some) || has_some { replace(&LUGGAGE, luggage) } else { luggage }
}

/// Runs `body` as one crossing, with `luggage`; what is there at its end comes back.
#[inline]
pub(crate) fn cross<T>(way: Crossing, luggage: Luggage, body: impl FnOnce() -> T) -> (T, Luggage) {
    let outer = Outer::enter(way, luggage);
    let value = body();
    (value, outer.leave())
}

/// Runs `body` as a crossing on which nothing travels beside the bytes and nothing can come aboard.
#[inline]
pub(crate) fn cross_with_nothing<T>(way: Crossing, body: impl FnOnce() -> T) -> T {
    cross_lending(way, Lendings::default(), body)
}

/// Runs `body` as a crossing with what is lent, of which nothing comes back.
#[inline(always)]
pub(crate) fn cross_lending<T>(way: Crossing, lendings: Lendings, body: impl FnOnce() -> T) -> T {
    struct Around(Option<Crossing>, Option<Box<Luggage>>);
    impl Drop for Around {
        #[inline]
        fn drop(&mut self) {
            CROSSING.set(self.0);
            if let Some(luggage) = self.1.take() {
                put_back(luggage);
            }
        }
    }
    let has_some = lendings.len() > 0 || HAS_LUGGAGE.get();
    let aside = if has_some { Some(set_aside(lendings)) } else { None };
    let _around = Around(CROSSING.replace(Some(way)), aside);
    body()
}

#[inline(never)]
fn set_aside(lendings: Lendings) -> Box<Luggage> {
    Box::new(exchange(Luggage { lendings, ..Luggage::default() }))
}

#[inline(never)]
#[allow(
    clippy::boxed_local,
    reason = "to look whether there is a box is all that the common way does"
)]
fn put_back(luggage: Box<Luggage>) {
    exchange(*luggage);
}

/// The crossing that one within it is to be followed by, also when that panics.
struct Outer(Option<Crossing>, Luggage);

impl Outer {
    #[inline]
    fn enter(way: Crossing, luggage: Luggage) -> Self {
        Self(CROSSING.replace(Some(way)), exchange(luggage))
    }

    #[inline]
    fn leave(self) -> Luggage {
        ManuallyDrop::new(self).restore()
    }

    #[inline]
    fn restore(&mut self) -> Luggage {
        CROSSING.set(self.0);
        exchange(std::mem::take(&mut self.1))
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.restore();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crossing_within_another_leaves_it_as_it_was() {
        let luggage = |n: u64| {
            let lendings = Lendings(vec![(Key(n), vec![n as u8])].into());
            Luggage { lendings, ..Luggage::default() }
        };
        let ((), left) = cross(Crossing::ArgumentIn, luggage(1), || {
            let (inner, left) = cross(Crossing::ArgumentIn, luggage(2), || claim(Key(2)));
            assert_eq!((inner, left.lendings.len()), (Some(vec![2]), 0));
            assert_eq!(claim(Key(2)), None);
            let panics = std::panic::catch_unwind(|| {
                cross(Crossing::ResultOut, luggage(3), || std::panic::resume_unwind(Box::new("")))
            });
            assert!(panics.is_err() && crossing() == Some(Crossing::ArgumentIn));
            assert_eq!(claim(Key(1)), Some(vec![1]));
        });
        assert!(left.lendings.0.is_empty() && crossing().is_none());
    }
}
