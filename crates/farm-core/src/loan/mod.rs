//! The seam by which shared arrays travel beside the bytes.
//!
//! What a handle of a shared array encodes as is a [`Key`], and what makes it more than that goes two other ways.
//! The right to it, such as to write to some rows, stays behind with the master as a [`Loan`]. What a worker
//! needs to know to open it is a grant, which the farm itself puts behind the encoded argument: user code
//! encodes and decodes arguments in any way it likes, and must not be able to lend what it does not have.
//!
//! ```text
//! master                                    worker
//! encode: register(loan, grant) ──────▶ decode: take_grant(key) -> grant, once; the handle is a Borrowed
//! decode: reclaim(key) -> handle    ◀────── encode: the key
//! ```
//!
//! Loans are told what becomes of their task. So no counter is shared with a worker that may die, and a
//! handle can be encoded by a farm alone: anywhere else [`register`] refuses.
//!
//! The decoded handle is a [`Borrowed`] of its task. It must be gone when the task ends, because from then on the
//! master lends what it stands for to others; one that is kept is found by [`run`](crate::backend::run::run).

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

/// What the master keeps of a handle while it is with a task.
///
/// It is dropped when the task's result is decoded without it, or never asked for.
pub trait Loan: Send {
    /// Whether nobody in this process has what the task is going to be given, now that its argument is dropped.
    fn is_unique(&mut self) -> bool;
    /// The task has failed, or its worker is dead: what it was allowed to write is not to be trusted.
    fn mark_lost(&mut self);
    /// Gives what the decoded handle is made from; `None` if there can be no more of them.
    fn reclaim(&mut self) -> Option<Box<dyn Any>>;
    /// What was reclaimed is dropped, and the result is going to be decoded again.
    fn rewind(&mut self);
}

/// Names a loan on the wire, once in the life of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Key(u64);

/// Which way values are being encoded or decoded on this thread.
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
    // Most tasks have nothing to do with arrays. These tell whether there can be anything in the places below.
    static HAS_BORROWED: Cell<bool> = const { Cell::new(false) };
    static HAS_REGISTERED: Cell<bool> = const { Cell::new(false) };
    /// Of the task that is running.
    static BORROWED: Kept<Vec<Arc<dyn Borrowed>>> = const { kept(Vec::new()) };
    /// Of the last task, if it has kept them.
    static ESCAPED: Kept<Vec<Arc<dyn Borrowed>>> = const { kept(Vec::new()) };
    static REGISTER: Kept<Register> = const { kept(Register::NONE) };
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
pub(crate) struct Grants(Keyed<Vec<u8>>);

/// What crosses beside the bytes.
#[derive(Default)]
pub(crate) struct Register {
    /// Those that can be reclaimed; those that have boarded.
    pub(crate) loans: Loans,
    /// What can be claimed; what is lent.
    pub(crate) grants: Grants,
}

impl Register {
    const NONE: Self = Self { loans: Loans(Keyed::NONE), grants: Grants(Keyed::NONE) };

    #[inline]
    fn is_empty(&self) -> bool {
        self.loans.0.is_empty() && self.grants.0.is_empty()
    }
}

/// The bytes that tell how long the grants behind an argument are.
const LENGTH: usize = 4;

/// Tells there that the argument is described, and not compact.
const DESCRIBED: u32 = 1 << 31;

fn too_short() -> CodecError {
    CodecError::Decode("it is too short".to_owned())
}

impl Grants {
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
        let (argument, grants) = bytes.split_at(split);
        if grants.is_empty() {
            return Ok((argument, form, Self::default()));
        }
        let grants: Vec<_> = codec::decode(grants)?;
        Ok((argument, form, Self(grants.into())))
    }
}

/// What a handle is in the worker, as long as its task runs. Its text names it in errors.
pub trait Borrowed: fmt::Display + Send + Sync {
    /// It is kept beyond its task, in a process that cannot be ended for that: keeps `loans` out for as long
    /// as it lives itself.
    fn strand(&self, loans: StrandedLoans);
}

/// The loans of a task which has kept handles that it was lent. Dropping the last clone lets them go.
#[derive(Clone)]
pub struct StrandedLoans(#[allow(dead_code, reason = "it is held")] Arc<Mutex<Loans>>);

/// The loans of one task.
#[derive(Default)]
pub struct Loans(Keyed<Box<dyn Loan>>);

impl Loans {
    /// Whether nobody else has what they stand for; see [`Loan::is_unique`].
    pub fn are_unique(&mut self) -> bool {
        self.0.iter_mut().all(|(_, loan)| loan.is_unique())
    }

    /// Tells all that their task has failed.
    pub fn mark_lost(&mut self) {
        self.0.iter_mut().for_each(|(_, loan)| loan.mark_lost());
    }
}

impl fmt::Debug for Loans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} loans", self.0.as_slice().len())
    }
}

/// The way that is being gone on this thread, if any.
pub fn phase() -> Option<Phase> {
    PHASE.get()
}

/// Takes a loan aboard the argument that is being encoded, and gives the key to encode. Whoever decodes it is
/// given the `grant`.
///
/// # Errors
///
/// Hands the loan back if no farm is encoding an argument on this thread.
///
/// # Safety
///
/// As long as it is aboard, the loan keeps for the task what the grant says, in the way in which whoever
/// [claims](take_grant) such grants uses it.
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

/// Takes back what the loan with this key keeps, while a result is being decoded.
///
/// `None` says that the handle in the reply is not one that this task was given, or was in it before.
pub fn reclaim(key: Key) -> Option<Box<dyn Any>> {
    if phase() != Some(Phase::DecodeResult) {
        return None;
    }
    REGISTER.with_borrow_mut(|register| {
        let (_, loan) = register.loans.0.iter_mut().find(|(other, _)| *other == key)?;
        loan.reclaim()
    })
}

/// Takes what is lent by the handle with this key, while an argument is being decoded.
///
/// `None` says that nothing is lent by that key, or was taken before: what is lent once must not be had twice.
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

/// Lets the loans off that have boarded the argument which is being encoded: it is going to be encoded again.
pub(crate) fn unregister_all() {
    if HAS_REGISTERED.get() && matches!(phase(), Some(Phase::EncodeArgument { .. })) {
        drop(exchange(Register::default()));
    }
}

/// What can be claimed while an argument is being decoded, so that it can be decoded again.
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

    /// What has been claimed and reclaimed since can be again. The handles are dropped.
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

/// Notes the borrowed that a decoded handle is, which completes what [`take_grant`] has begun. The handle holds it for as long as
/// it lives, and so do its clones.
///
/// # Safety
///
/// The borrowed keeps what it is given when it is [stranded](Borrowed::strand), and neither that, nor its text, nor its `Drop`
/// panics.
pub unsafe fn note_borrowed(borrowed: Arc<dyn Borrowed>) {
    HAS_BORROWED.set(true);
    BORROWED.with_borrow_mut(|all| all.push(borrowed));
}

/// Whether the argument that is being encoded on this thread has loans.
#[inline]
pub(crate) fn has_registered() -> bool {
    HAS_REGISTERED.get()
}

/// How many handles the task that is beginning on this thread has borrowed_count.
#[inline]
pub(crate) fn borrowed_count() -> usize {
    if HAS_BORROWED.get() { BORROWED.with_borrow(|borrowed| borrowed.len()) } else { 0 }
}

/// As many kept handles are told by name.
const MOST_NAMES: usize = 20;

/// The names of those borrowed of the task that has just ended on this thread which somebody still holds.
#[inline]
pub(crate) fn take_escaped() -> Vec<String> {
    if HAS_BORROWED.replace(false) { find_escaped() } else { Vec::new() }
}

fn find_escaped() -> Vec<String> {
    let mut borrowed = replace(&BORROWED, Vec::new());
    // Not by a count alone: what the last holder did happens before this.
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

/// Leaves the loans of that task out until the last of what it has kept is gone.
pub(crate) fn strand(loans: Loans) {
    let loans = StrandedLoans(Arc::new(Mutex::new(loans)));
    replace(&ESCAPED, Vec::new()).into_iter().for_each(|borrowed| borrowed.strand(loans.clone()));
}

/// Puts `register` in the place of what is there.
#[inline]
fn exchange(register: Register) -> Register {
    let has_some = !register.is_empty();
    if HAS_REGISTERED.replace(has_some) || has_some {
        replace(&REGISTER, register)
    } else {
        register
    }
}

/// Runs `body` as one phase, with `register`; what is there at its end comes back.
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

/// Runs `body` as a phase on which nothing travels beside the bytes and nothing can come aboard.
#[inline]
pub(crate) fn in_phase_without_loans<T>(way: Phase, body: impl FnOnce() -> T) -> T {
    in_phase_with_grants(way, Grants::default(), body)
}

/// Runs `body` as a phase with what is lent, of which nothing comes back.
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

/// The phase that one within it is to be followed by, also when that panics.
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
    fn a_crossing_within_another_leaves_it_as_it_was() {
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
