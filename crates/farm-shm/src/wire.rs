//! The encoded form of handles: a few bytes, whatever the size of the array.
//!
//! In an argument, a handle is encoded as a key. The right to its rows stays in the master as a
//! loan of the task. Where the rows are goes to the worker as a grant, which user code cannot
//! reach. In a result, a handle is encoded as the same key, for which the master makes the handle
//! from the loan. Nothing that is received is trusted: shapes and rows are checked against the
//! segment as it is, and keys against the loans of the same task.

use std::any::Any;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use farm_core::codec;
use farm_core::loan::{self, Key, Loan, Phase};
use ndarray::Dimension;
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::array_ref::Hold;
use crate::band::Right;
use crate::lent::Lent;
use crate::name::Name;
use crate::segment::{Access, Mapping};
use crate::split::Lease;
use crate::undo::Rows;
use crate::{ArrayRef, Band, Element};

/// What a worker needs to know to open a handle.
#[derive(Serialize, Deserialize)]
struct Grant {
    access: Access,
    segment: Name,
    /// The size of an element in bytes.
    element: usize,
    /// The shape of the array, or of its part that ends with the last row of a band.
    whole: Vec<usize>,
    rows: Range<usize>,
    /// The segment in which the old rows are to be kept, if they are.
    undo: Option<Name>,
}

/// A handle in a result: the rows of it that the task returns.
#[derive(Serialize, Deserialize)]
struct Return {
    key: Key,
    rows: Range<usize>,
}

const NO_FARM: &str = "a handle of a shared array can be sent by a farm alone; \
                       to save or send the data itself, encode its view";
const LENT: &str = "a task cannot send on what it was lent";
const FOREIGN: &str = "the reply holds a handle of a shared array that this task was not given";
const ANOTHER_TYPE: &str =
    "the reply holds a handle as one of another type than the task was given";
const MADE_HERE: &str = "a task cannot return an array that it has made; return its data";
const NOT_LENT: &str = "the handle was not lent to this task, or is in its argument twice";
const UNFIT: &str = "the handle does not fit its segment";
const NO_UNDO: &str = "a task that may be retried keeps the old rows of its bands, unless they are an Overwrite; \
                       that is not possible";

/// The loan of a band: holds the right to write to its rows while a task has the band.
struct BandAway<T: Element, D: Dimension> {
    lease: Arc<Lease>,
    /// Whether the band was reclaimed.
    is_back: bool,
    /// Whether the task keeps the old rows.
    undo: bool,
    mapping: Arc<Mapping>,
    whole: D,
    element: PhantomData<T>,
}

impl<T: Element, D: Dimension + 'static> Loan for BandAway<T, D> {
    fn is_unique(&mut self) -> bool {
        // `get_mut`, and not `strong_count`, which orders nothing: `get_mut` makes what the last
        // other holder did happen before this.
        Arc::get_mut(&mut self.lease).is_some()
    }

    fn mark_lost(&mut self) {
        self.lease.tear(self.undo);
    }

    fn reclaim(&mut self) -> Option<Box<dyn Any>> {
        if std::mem::replace(&mut self.is_back, true) {
            return None;
        }
        let lease = self.lease.clone();
        Some(Box::new(Band::<T, D>::home(lease, self.mapping.clone(), &self.whole)))
    }

    fn rewind(&mut self) {
        self.is_back = false;
    }
}

/// The loan of a reference: keeps the array frozen while a task has the reference.
struct RefAway<T: Element, D: Dimension>(ArrayRef<T, D>);

impl<T: Element, D: Dimension + 'static> Loan for RefAway<T, D> {
    /// Any number of references may exist, so this is always true.
    fn is_unique(&mut self) -> bool {
        true
    }

    fn mark_lost(&mut self) {}

    /// Can be called any number of times, because a task may clone its reference and return it more
    /// than once.
    fn reclaim(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.0.clone()))
    }

    fn rewind(&mut self) {}
}

/// Registers a loan, and encodes its key.
///
/// # Safety
///
/// As long as the loan exists, it holds what the grant says: a grant for reading, that nothing
/// writes to its rows; a grant for writing, that nothing else has a right to its rows.
unsafe fn lend<S: Serializer>(
    loan: impl Loan + 'static,
    grant: &Grant,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let refuse = |reason: &dyn Display| S::Error::custom(reason);
    let grant = codec::encode(grant).map_err(|error| refuse(&error))?;
    // SAFETY: as the caller promises. Only the function `note_borrowed` of this file takes these
    // grants, and it gives access as they say.
    let key = unsafe { loan::register(Box::new(loan), grant) };
    key.map_err(|_| refuse(&NO_FARM))?.serialize(serializer)
}

impl<T: Element, D: Dimension + 'static> Band<T, D> {
    /// Encodes the handle. If `keeps` is set and the task may be started again, the worker is told
    /// to keep the old rows.
    pub(crate) fn encode<S: Serializer>(
        &self,
        keeps: bool,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let refuse = |reason: &dyn Display| S::Error::custom(reason);
        match (&self.right, loan::phase()) {
            (Right::InMaster(lease), Some(Phase::EncodeArgument { repeatable })) => {
                let part = Rows::of::<T, D>(self.rows.clone(), &self.shape);
                let undo = (repeatable && keeps && !part.is_empty())
                    .then(|| self.mapping.undo_for(&part))
                    .transpose()
                    .map_err(|error| refuse(&format_args!("{NO_UNDO}: {error}")))?;
                let mut whole = self.shape.clone();
                // The worker needs the array only up to the last row of the band.
                whole.slice_mut()[0] = self.rows.end;
                let grant = Grant {
                    access: Access::Write,
                    segment: self.mapping.lend(),
                    element: size_of::<T>(),
                    whole: whole.slice().to_vec(),
                    rows: self.rows.clone(),
                    undo,
                };
                let away = BandAway::<T, D> {
                    lease: lease.clone(),
                    is_back: false,
                    undo: undo.is_some(),
                    mapping: self.mapping.clone(),
                    whole,
                    element: PhantomData,
                };
                // SAFETY: these rows have one lease, and the farm sends the task only if this loan
                // is the only owner of the lease.
                unsafe { lend(away, &grant, serializer) }
            }
            (Right::Lent(lent), Some(Phase::EncodeResult)) => {
                Return { key: lent.key, rows: self.rows.clone() }.serialize(serializer)
            }
            (Right::Lent(_), Some(Phase::EncodeArgument { .. })) => Err(refuse(&LENT)),
            (Right::InMaster(_), Some(Phase::EncodeResult)) => Err(refuse(&MADE_HERE)),
            _ => Err(refuse(&NO_FARM)),
        }
    }
}

impl<T: Element, D: Dimension + 'static> Serialize for Band<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.encode(true, serializer)
    }
}

impl<T: Element, D: Dimension + 'static> Serialize for ArrayRef<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = self.start..self.start + self.shape().first().copied().unwrap_or(0);
        match (&self.hold, loan::phase()) {
            (Hold::InMaster(array), Some(Phase::EncodeArgument { .. })) => {
                let grant = Grant {
                    access: Access::Read,
                    segment: array.mapping.lend(),
                    element: size_of::<T>(),
                    whole: array.shape().to_vec(),
                    rows,
                    undo: None,
                };
                // SAFETY: the array is frozen as long as a reference to it exists.
                unsafe { lend(RefAway(self.clone()), &grant, serializer) }
            }
            (Hold::Lent(lent), Some(Phase::EncodeResult)) => {
                Return { key: lent.key, rows }.serialize(serializer)
            }
            (Hold::Lent(_), Some(Phase::EncodeArgument { .. })) => Err(S::Error::custom(LENT)),
            (Hold::InMaster(_), Some(Phase::EncodeResult)) => Err(S::Error::custom(MADE_HERE)),
            _ => Err(S::Error::custom(NO_FARM)),
        }
    }
}

impl Rows {
    /// Rows of an array whose axes, except the first, are those of `shape`.
    fn of<T: Element, D: Dimension>(rows: Range<usize>, shape: &D) -> Self {
        let bytes_per_row = shape.slice().iter().skip(1).product::<usize>() * size_of::<T>();
        Self { rows, bytes_per_row }
    }
}

/// Decodes a handle. In a worker, it is opened by its grant; in the master, it is made from its
/// loan.
fn note_borrowed<'de, T, D, H, De>(
    deserializer: De,
    (access, handle): (Access, &'static str),
    open: impl FnOnce(Arc<Lent>, D) -> H,
    narrow: impl FnOnce(H, Range<usize>) -> Option<H>,
) -> Result<H, De::Error>
where
    T: Element,
    D: Dimension,
    H: 'static,
    De: Deserializer<'de>,
{
    let refuse = |reason: &dyn Display| De::Error::custom(reason);
    match loan::phase() {
        Some(Phase::DecodeArgument) => {
            let key = Key::deserialize(deserializer)?;
            let grant = loan::take_grant(key).ok_or_else(|| refuse(&NOT_LENT))?;
            let grant: Grant = codec::decode(&grant).map_err(|error| refuse(&error))?;
            let Grant { segment, whole, rows, undo, .. } = &grant;
            let whole = shape::<D>(whole).filter(|whole| {
                let fit = match whole.slice().first() {
                    Some(n) => rows.start <= rows.end && rows.end <= *n,
                    // An array without axes has no rows, so no band can be made of it.
                    None => *rows == (0..0) && access == Access::Read,
                };
                fit && grant.element == size_of::<T>() && grant.access == access
            });
            let whole = whole.ok_or_else(|| refuse(&UNFIT))?;
            let mapping = Mapping::open(*segment, access).map_err(|error| refuse(&error))?;
            if !mapping.holds::<T, D>(&whole) {
                return Err(refuse(&UNFIT));
            }
            let lent = Arc::new(Lent::new(key, mapping, rows.clone(), handle));
            if access == Access::Write {
                let part = Rows::of::<T, D>(rows.clone(), &whole);
                if let Some(undo) = undo {
                    lent.mapping.begin(*undo, &part).map_err(|error| refuse(&error))?;
                }
            }
            // SAFETY: a `Lent` keeps the loans that it is given. Its text consists of numbers and
            // names, and neither its text nor its `Drop` panics.
            unsafe { loan::note_borrowed(lent.clone()) };
            Ok(open(lent, whole))
        }
        Some(Phase::DecodeResult) => {
            let Return { key, rows } = Return::deserialize(deserializer)?;
            let handle = loan::reclaim(key).ok_or_else(|| refuse(&FOREIGN))?;
            let handle = handle.downcast::<H>().map_err(|_| refuse(&ANOTHER_TYPE))?;
            narrow(*handle, rows).ok_or_else(|| refuse(&FOREIGN))
        }
        _ => Err(refuse(&NO_FARM)),
    }
}

fn shape<D: Dimension>(lengths: &[usize]) -> Option<D> {
    if D::NDIM.is_some_and(|axes| axes != lengths.len()) {
        return None;
    }
    let mut shape = D::zeros(lengths.len());
    shape.slice_mut().copy_from_slice(lengths);
    Some(shape)
}

impl<'de, T: Element, D: Dimension + 'static> Deserialize<'de> for Band<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let open = |lent: Arc<Lent>, whole| {
            let (mapping, rows) = (lent.mapping.clone(), lent.rows.clone());
            Self::new(Right::Lent(lent), mapping, rows, &whole)
        };
        // A task cannot split a band, so the band comes back with the rows that it had.
        let narrow = |band: Self, rows| (band.rows == rows).then_some(band);
        note_borrowed::<T, D, _, _>(deserializer, (Access::Write, "a Band"), open, narrow)
    }
}

impl<'de, T: Element, D: Dimension + 'static> Deserialize<'de> for ArrayRef<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let open = |lent: Arc<Lent>, whole| {
            let rows = lent.rows.clone();
            Self { hold: Hold::Lent(lent), start: 0, shape: whole }.narrowed(rows)
        };
        let narrow = |lent: Self, rows: Range<usize>| {
            let end = lent.start + lent.shape().first().copied().unwrap_or(0);
            let fits = lent.start <= rows.start && rows.start <= rows.end && rows.end <= end;
            fits.then(|| lent.narrowed(rows))
        };
        note_borrowed::<T, D, _, _>(deserializer, (Access::Read, "an ArrayRef"), open, narrow)
    }
}

#[cfg(test)]
mod tests;
