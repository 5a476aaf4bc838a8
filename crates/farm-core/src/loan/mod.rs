//! Loans: how handles of shared arrays travel with a task.
//!
//! The data of a shared array does not travel. A handle of the array is encoded as a [`Key`], a
//! number that names this handle in this task. Two things belong to each key:
//!
//! - The [`Loan`] stays with the master. As long as the task has the handle, the loan holds the
//!   right that the task was given, such as the only right to write to some rows.
//! - The *grant* goes to the worker. It is a byte string that says what a worker needs to know to
//!   open the array. The farm itself puts the grants behind the encoded argument, and splits them
//!   off before the argument is decoded. User code encodes and decodes arguments in any way it
//!   likes, and may copy or invent keys, but it cannot reach the grants. So it cannot lend what it
//!   does not have.
//!
//! # The journey of a handle
//!
//! ```text
//! master                                        worker
//!
//! 1. encode the argument                        2. decode the argument
//!      register(loan, grant) -> key  ─────────▶      take_grant(key) -> grant, once
//!      check that the loans are unique               note_borrowed(handle)
//!                                               3. call the function
//! 4. decode the result                             encode the result: the same key
//!      reclaim(key) -> handle        ◀─────────      check that no handle is left
//! 5. drop the loans
//! ```
//!
//! 1. The `Serialize` of a handle calls [`register`] with a loan and a grant, and encodes the key
//!    that it gets. [`register`] refuses unless a farm is encoding an argument on this thread, so
//!    nothing but a farm can encode a handle. The argument is then dropped, and the task is refused
//!    if something else in the master still holds a right that conflicts with the task's
//!    ([`Loan::is_unique`]). The loans wait in the pool's mailbox (`backend/mailbox.rs`) for the
//!    outcome.
//! 2. The worker decodes the argument. The `Deserialize` of a handle decodes the key, takes the
//!    grant with [`take_grant`], opens the array, and calls [`note_borrowed`]. Each grant can be
//!    taken once. If one is not taken, the task fails before its function is called.
//! 3. When the task has ended, none of its handles may be left, because the master may now lend the
//!    same rows to others. All clones of a handle share one [`Borrowed`], of which this module
//!    holds a reference too, so a handle that is left is found: it has *escaped*.
//!    [`run`](crate::backend::run::run) then fails, and the master ends the worker. A process that
//!    cannot be ended, such as that of `farm-mono`, strands the loans instead: the escaped handles
//!    keep them until they are dropped ([`Borrowed::strand`]).
//! 4. A handle in the result is encoded as its key. When the master decodes the result, the loans
//!    of this one task are at hand, and the `Deserialize` of the handle calls [`reclaim`], which
//!    makes the handle from its loan. A key that belongs to no loan of this task is refused.
//! 5. After that, the loans are dropped. A handle that did not come back is thereby given up. If
//!    the task has failed and may have stopped half-way, its loans are told so before they are
//!    dropped ([`Loan::mark_lost`]).
//!
//! So the master alone counts what is lent: no counter is shared with a worker, which may die.
//!
//! # State
//!
//! The state of a phase is thread-local. [`phase`] says whether this thread is encoding or
//! decoding, an argument or a result. The register holds the loans and grants of the value that is
//! being encoded or decoded. The codec may encode or decode a value more than once; in between, it
//! removes what was registered, or restores the grants and rewinds the loans (`unregister_all`,
//! `Checkpoint`).

pub mod eviction;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::wire::codec::{self, CodecError, Form, Output};

/// The right that the master holds for a handle while a task has the handle.
///
/// The loan is dropped after the result of the task has been decoded, when the task has failed, or
/// when the handle of the task is dropped before the result was asked for.
pub trait Loan: Send {
    /// Returns whether nothing else in this process holds a right that conflicts with the one that
    /// the task will be given. It is called after the argument of the task was dropped.
    fn is_unique(&mut self) -> bool;
    /// Notes that the task has failed or its worker is dead, so that what the task was allowed to
    /// write may be incomplete.
    fn mark_lost(&mut self);
    /// Returns the value from which the decoded handle is made; `None` if no further handle can be
    /// made from this loan.
    fn reclaim(&mut self) -> Option<Box<dyn Any>>;
    /// Undoes the calls of [`reclaim`](Self::reclaim): the handles made by them are dropped, and
    /// the result is going to be decoded again.
    fn rewind(&mut self);
}

/// The name of a loan on the wire. No two loans that this process registers have the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(u64);

/// What is being encoded or decoded on a thread, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The master encodes an argument.
    EncodeArgument {
        /// Whether the task may be sent more than once, so that what it overwrites has to be kept.
        repeatable: bool,
    },
    /// A worker decodes an argument.
    DecodeArgument,
    /// A worker encodes a result.
    EncodeResult,
    /// The master decodes a result.
    DecodeResult,
}

thread_local! {
    static PHASE: Cell<Option<Phase>> = const { Cell::new(None) };
    static FAILING: Cell<bool> = const { Cell::new(false) };
    // Most tasks have no handles of arrays. These two tell whether the places below may hold
    // anything.
    static HAS_BORROWED: Cell<bool> = const { Cell::new(false) };
    static HAS_REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// The handles of the task that is running.
    static BORROWED: Kept<Vec<Arc<dyn Borrowed>>> = const { kept(Vec::new()) };
    /// The handles of the last task that have escaped.
    static ESCAPED: Kept<Vec<Arc<dyn Borrowed>>> = const { kept(Vec::new()) };
    static REGISTER: Kept<Register> = const { kept(Register::NONE) };
}

/// A thread-local that is empty between two calls and when its thread ends, except that escaped
/// handles stay in a worker, which is then killed. So it needs no destructor, and it can still be
/// accessed while the thread's other thread-locals are destroyed: a program may end its pools then.
type Kept<T> = RefCell<ManuallyDrop<T>>;

const fn kept<T>(empty: T) -> Kept<T> {
    RefCell::new(ManuallyDrop::new(empty))
}

fn replace<T>(place: &'static LocalKey<Kept<T>>, other: T) -> T {
    ManuallyDrop::into_inner(place.replace(ManuallyDrop::new(other)))
}

/// Values by the keys of their handles. Most tasks have no handles: the map is then one null
/// pointer, which costs next to nothing to move and to drop.
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

/// The grants of the handles in one argument.
#[derive(Default)]
pub(crate) struct Grants(Keyed<Vec<u8>>);

/// The loans and grants of the value that is being encoded or decoded on this thread.
#[derive(Default)]
pub(crate) struct Register {
    /// In the master: the loans registered while an argument is encoded, or those that can be
    /// reclaimed while a result is decoded.
    pub(crate) loans: Loans,
    /// In the master: the grants registered while an argument is encoded. In a worker: those that
    /// can still be taken while an argument is decoded.
    pub(crate) grants: Grants,
}

impl Register {
    const NONE: Self = Self { loans: Loans(Keyed::NONE), grants: Grants(Keyed::NONE) };

    #[inline]
    fn is_empty(&self) -> bool {
        self.loans.0.is_empty() && self.grants.0.is_empty()
    }
}

/// The number of bytes, at the end of an argument, that hold the length of the grants before them.
const LENGTH: usize = 4;

/// The flag in that length which says that the argument is in the described form.
const DESCRIBED: u32 = 1 << 31;

fn too_short() -> CodecError {
    CodecError::Decode("it is too short".to_owned())
}

impl Grants {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.0.as_slice().len()
    }

    /// The end of an argument that is in the compact form and has no grants.
    pub(crate) const NOTHING: [u8; LENGTH] = [0; LENGTH];

    /// Appends the grants to an encoded argument, and then their length with the form of the
    /// argument.
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

    /// Splits the bytes of an argument into the encoded value, its form, and the grants.
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
        let (argument, grants) = bytes.split_at(split);
        if grants.is_empty() {
            return Ok((argument, form, Self::default()));
        }
        let grants: Vec<_> = codec::decode(grants)?;
        Ok((argument, form, Self(grants.into())))
    }
}

/// What all clones of a decoded handle share in the worker, for as long as one of them lives. Its
/// text names the handle in errors.
pub trait Borrowed: fmt::Display + Send + Sync {
    /// Keeps `loans` until this value is dropped. It is called when the handle has escaped from its
    /// task in a process that cannot be ended for that.
    fn strand(&self, loans: StrandedLoans);
}

/// The loans of a task whose handles have escaped. They are dropped with the last clone of this
/// value.
#[derive(Clone)]
pub struct StrandedLoans(#[allow(dead_code, reason = "it is held")] Arc<Mutex<Loans>>);

/// The loans of one task.
#[derive(Default)]
pub struct Loans(Keyed<Box<dyn Loan>>);

impl Loans {
    /// Returns whether nothing else in this process holds what they stand for; see
    /// [`Loan::is_unique`].
    pub fn are_unique(&mut self) -> bool {
        self.0.iter_mut().all(|(_, loan)| loan.is_unique())
    }

    /// Tells each loan that the task has failed; see [`Loan::mark_lost`].
    pub fn mark_lost(&mut self) {
        self.0.iter_mut().for_each(|(_, loan)| loan.mark_lost());
    }
}

impl fmt::Debug for Loans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loans", self.0.as_slice().len())
    }
}

/// What is being encoded or decoded on this thread; `None` if no farm is doing so.
pub fn phase() -> Option<Phase> {
    PHASE.get()
}

/// Registers a loan for the argument that is being encoded, and returns the key to encode. The
/// worker that decodes this key is given the `grant`.
///
/// # Errors
///
/// Hands the loan back if no farm is encoding an argument on this thread.
///
/// # Safety
///
/// As long as the loan is registered and not dropped, it must hold for the task what the grant
/// says, in the sense in which the code that [takes](take_grant) such grants uses them.
pub unsafe fn register(loan: Box<dyn Loan>, grant: Vec<u8>) -> Result<Key, Box<dyn Loan>> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    if !matches!(phase(), Some(Phase::EncodeArgument { .. })) {
        return Err(loan);
    }
    // Relaxed: only uniqueness matters.
    let key = Key(NEXT.fetch_add(1, Ordering::Relaxed));
    HAS_REGISTERED.set(true);
    REGISTER.with_borrow_mut(|register| {
        register.loans.0.push(key, loan);
        register.grants.0.push(key, grant);
    });
    Ok(key)
}

/// Returns the value from which a handle in a result is made, by the loan with this key.
///
/// Returns `None` if no result is being decoded on this thread, if the task was not given a handle
/// with this key, or if no further handle can be made from its loan.
pub fn reclaim(key: Key) -> Option<Box<dyn Any>> {
    if phase() != Some(Phase::DecodeResult) {
        return None;
    }
    REGISTER.with_borrow_mut(|register| {
        let (_, loan) = register.loans.0.iter_mut().find(|(other, _)| *other == key)?;
        loan.reclaim()
    })
}

/// Returns the grant of a handle in an argument, by its key.
///
/// Returns `None` if no argument is being decoded on this thread, if there is no grant for this
/// key, or if it was taken before: the same right must not be used twice.
pub fn take_grant(key: Key) -> Option<Vec<u8>> {
    if phase() != Some(Phase::DecodeArgument) {
        return None;
    }
    REGISTER.with_borrow_mut(|register| {
        let grants = register.grants.0.0.as_mut()?;
        let at = grants.iter().position(|(other, _)| *other == key)?;
        Some(grants.swap_remove(at).1)
    })
}

/// Drops the loans and grants registered for the argument that is being encoded on this thread,
/// because the argument is going to be encoded again.
pub(crate) fn unregister_all() {
    if HAS_REGISTERED.get() && matches!(phase(), Some(Phase::EncodeArgument { .. })) {
        drop(exchange(Register::default()));
    }
}

/// The grants that could be taken when the decoding began, so that it can begin again.
pub(crate) struct Checkpoint(Vec<(Key, Vec<u8>)>);

impl Checkpoint {
    pub(crate) fn new() -> Self {
        let all = |register: &Register| register.grants.0.as_slice().to_vec();
        Self(if HAS_REGISTERED.get() {
            REGISTER.with_borrow(|register| all(register))
        } else {
            Vec::new()
        })
    }

    /// Drops the handles decoded since, makes their grants available again, and rewinds the loans.
    pub(crate) fn restore(&self) {
        if phase() == Some(Phase::DecodeArgument) && HAS_BORROWED.replace(false) {
            drop(replace(&BORROWED, Vec::new()));
        }
        if HAS_REGISTERED.get() {
            REGISTER.with_borrow_mut(|register| {
                register.grants = Grants(self.0.clone().into());
                register.loans.0.iter_mut().for_each(|(_, loan)| loan.rewind());
            });
        }
    }
}

/// Notes a handle that was decoded, after its grant was [taken](take_grant). The handle and its
/// clones must hold clones of this `Arc` for as long as they live, since a handle that escapes from
/// its task is found by them.
///
/// # Safety
///
/// `borrowed` must keep the loans that it is given when it is [stranded](Borrowed::strand), and
/// neither `strand`, nor its text, nor its `Drop` may panic.
pub unsafe fn note_borrowed(borrowed: Arc<dyn Borrowed>) {
    HAS_BORROWED.set(true);
    BORROWED.with_borrow_mut(|all| all.push(borrowed));
}

/// Whether anything was registered for the argument that is being encoded on this thread.
#[inline]
pub(crate) fn has_registered() -> bool {
    HAS_REGISTERED.get()
}

/// The number of handles of the task whose argument was decoded on this thread.
#[inline]
pub(crate) fn borrowed_count() -> usize {
    if HAS_BORROWED.get() { BORROWED.with_borrow(|borrowed| borrowed.len()) } else { 0 }
}

/// The largest number of escaped handles that an error names.
const MOST_NAMES: usize = 20;

/// Returns the names of the handles that are left of the task that has just ended on this thread.
#[inline]
pub(crate) fn take_escaped() -> Vec<String> {
    if HAS_BORROWED.replace(false) { find_escaped() } else { Vec::new() }
}

fn find_escaped() -> Vec<String> {
    let mut borrowed = replace(&BORROWED, Vec::new());
    // Not by `strong_count`, which orders nothing: `get_mut` makes what the last other holder did
    // happen before this.
    borrowed.retain_mut(|borrowed| Arc::get_mut(borrowed).is_none());
    let mut names: Vec<_> = borrowed.iter().take(MOST_NAMES).map(|g| g.to_string()).collect();
    if borrowed.len() > MOST_NAMES {
        names.push(format!("and {} more", borrowed.len() - MOST_NAMES));
    }
    if !borrowed.is_empty() {
        drop(replace(&ESCAPED, borrowed));
    }
    names
}

/// Returns whether what is being dropped on this thread was left by a task that has failed.
pub fn is_failing() -> bool {
    FAILING.get() || std::thread::panicking()
}

/// Drops what a failed task has left; [`is_failing`] is true meanwhile.
pub(crate) fn drop_as_failed<T>(left: T) {
    let outer = FAILING.replace(true);
    drop(left);
    FAILING.set(outer);
}

/// Gives the loans of the last task on this thread to its escaped handles. The loans are dropped
/// with the last of these handles.
pub(crate) fn strand(loans: Loans) {
    let loans = StrandedLoans(Arc::new(Mutex::new(loans)));
    replace(&ESCAPED, Vec::new()).into_iter().for_each(|borrowed| borrowed.strand(loans.clone()));
}

/// Replaces this thread's register, and returns the former one.
#[inline]
fn exchange(register: Register) -> Register {
    let has_some = !register.is_empty();
    if HAS_REGISTERED.replace(has_some) || has_some {
        replace(&REGISTER, register)
    } else {
        register
    }
}

/// Runs `body` in a phase, with `register` as this thread's register. Returns the value of `body`,
/// and the register as `body` has left it. Afterwards, also after a panic, the thread is in its
/// former phase and has its former register.
#[inline]
pub(crate) fn in_phase<T>(
    way: Phase,
    register: Register,
    body: impl FnOnce() -> T,
) -> (T, Register) {
    let outer = Outer::enter(way, register);
    let value = body();
    (value, outer.leave())
}

/// Runs `body` in a phase with an empty register, to which `body` can add nothing.
#[inline]
pub(crate) fn in_phase_without_loans<T>(way: Phase, body: impl FnOnce() -> T) -> T {
    in_phase_with_grants(way, Grants::default(), body)
}

/// Runs `body` in a phase with these grants. Grants that `body` does not take are dropped.
/// Afterwards, also after a panic, the thread is in its former phase and has its former register.
#[inline(always)]
pub(crate) fn in_phase_with_grants<T>(way: Phase, grants: Grants, body: impl FnOnce() -> T) -> T {
    struct Around(Option<Phase>, Option<Box<Register>>);
    impl Drop for Around {
        #[inline]
        fn drop(&mut self) {
            PHASE.set(self.0);
            if let Some(register) = self.1.take() {
                put_back(register);
            }
        }
    }
    let has_some = grants.len() > 0 || HAS_REGISTERED.get();
    let aside = if has_some { Some(set_aside(grants)) } else { None };
    let _around = Around(PHASE.replace(Some(way)), aside);
    body()
}

#[inline(never)]
fn set_aside(grants: Grants) -> Box<Register> {
    Box::new(exchange(Register { grants, ..Register::default() }))
}

#[inline(never)]
#[allow(
    clippy::boxed_local,
    reason = "to look whether there is a box is all that the common way does"
)]
fn put_back(register: Box<Register>) {
    exchange(*register);
}

/// The phase and the register that the thread returns to when an inner phase ends, also by a panic.
struct Outer(Option<Phase>, Register);

impl Outer {
    #[inline]
    fn enter(way: Phase, register: Register) -> Self {
        Self(PHASE.replace(Some(way)), exchange(register))
    }

    #[inline]
    fn leave(self) -> Register {
        ManuallyDrop::new(self).restore()
    }

    #[inline]
    fn restore(&mut self) -> Register {
        PHASE.set(self.0);
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
    fn a_phase_within_another_leaves_it_as_it_was() {
        let register = |n: u64| {
            let grants = Grants(vec![(Key(n), vec![n as u8])].into());
            Register { grants, ..Register::default() }
        };
        let ((), left) = in_phase(Phase::DecodeArgument, register(1), || {
            let (inner, left) = in_phase(Phase::DecodeArgument, register(2), || take_grant(Key(2)));
            assert_eq!((inner, left.grants.len()), (Some(vec![2]), 0));
            assert_eq!(take_grant(Key(2)), None);
            let panics = std::panic::catch_unwind(|| {
                in_phase(Phase::EncodeResult, register(3), || {
                    std::panic::resume_unwind(Box::new(""))
                })
            });
            assert!(panics.is_err() && phase() == Some(Phase::DecodeArgument));
            assert_eq!(take_grant(Key(1)), Some(vec![1]));
        });
        assert!(left.grants.0.is_empty() && phase().is_none());
    }
}
