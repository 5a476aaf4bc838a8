//! Handles on the wire: a few bytes, whatever the size of the array.
//!
//! On the way out a handle tells where its array is, and the right to it stays with the master as a
//! passenger of the task. On the way back it is the passenger's key alone, for which the master gives
//! the handle its owner again. Nothing that arrives is believed: shapes and rows are checked against the
//! segment as it is, keys against the passengers of that very task.

use std::any::Any;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use farm_core::codec::because;
use farm_core::passenger::{self, Crossing, Key, Passenger};
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
use crate::undo::Part;
use crate::{ArrayRef, Band, Element};

#[derive(Serialize, Deserialize)]
enum Wire {
    /// To a worker. The old rows are to be kept in the `undo`, if there is one.
    Lent {
        key: Key,
        segment: Name,
        element: usize,
        whole: Vec<usize>,
        rows: Range<usize>,
        undo: Option<Name>,
    },
    /// Back to the master: the rows that the task has left of those it was given.
    Home { key: Key, rows: Range<usize> },
}

const NO_FARM: &str = "a handle of a shared array can be sent by a farm alone; \
                       to save or send the data itself, encode its view";
const FOREIGN: &str = "the reply holds a handle of a shared array that this task was not given";
const TWICE: &str = "the argument holds the same handle twice";
const ENCODED_BEFORE: &str = "this band was encoded before";
const NO_ROOM_FOR_UNDO: &str = "a task that may be retried keeps the old rows of its bands, unless they are an \
                                Overwrite, and there is no room for them";
const UNFIT: &str = "the handle does not fit its segment";

/// Keeps the right to write to a band's rows while a task has the band.
struct BandAway<T: Element, D: Dimension> {
    /// `None` once the band is back.
    lease: Option<Lease>,
    mapping: Arc<Mapping>,
    whole: D,
    element: PhantomData<T>,
}

impl<T: Element, D: Dimension + 'static> Passenger for BandAway<T, D> {
    fn lost(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.tear();
        }
    }

    fn reclaim(&mut self) -> Option<Box<dyn Any>> {
        let mut lease = self.lease.take()?;
        lease.comes_back();
        Some(Box::new(Band::<T, D>::home(lease, self.mapping.clone(), &self.whole)))
    }
}

/// Keeps an array frozen while a task has a reference to it.
struct RefAway<T: Element, D: Dimension>(ArrayRef<T, D>);

impl<T: Element, D: Dimension + 'static> Passenger for RefAway<T, D> {
    fn lost(&mut self) {}

    /// As often as one likes: a reference can be cloned, and so it may come back as two.
    fn reclaim(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.0.clone()))
    }
}

fn board<E: serde::ser::Error>(passenger: impl Passenger + 'static) -> Result<Key, E> {
    passenger::board(Box::new(passenger)).map_err(|_| E::custom(because(NO_FARM)))
}

impl<T: Element, D: Dimension + 'static> Band<T, D> {
    /// Encodes the handle; the worker keeps the old rows if the task may need them again, and if it `keeps` any.
    pub(crate) fn encode<S: Serializer>(
        &self,
        keeps: bool,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let refuse = |reason: &dyn Display| S::Error::custom(because(reason));
        match (&self.right, passenger::crossing()) {
            (Right::Home(lease), Some(Crossing::ArgumentOut { repeatable })) => {
                let mut lease = lease.lock();
                if lease.is_none() {
                    return Err(refuse(&ENCODED_BEFORE));
                }
                let part = Part::of::<T, D>(self.rows.clone(), &self.shape);
                let undo = (repeatable && keeps && !part.is_empty())
                    .then(|| self.mapping.undo_for(&part))
                    .transpose()
                    .map_err(|error| refuse(&format_args!("{NO_ROOM_FOR_UNDO}: {error}")))?;
                let mut lease = lease.take();
                if let Some(lease) = &mut lease {
                    lease.goes_out(undo.is_some());
                }
                let mut whole = self.shape.clone();
                // The rows beyond the band's last are the receiver's to ignore.
                whole.slice_mut()[0] = self.rows.end;
                let (mapping, element) = (self.mapping.clone(), PhantomData);
                let away = BandAway::<T, D> { lease, mapping, whole: whole.clone(), element };
                let key = board(away)?;
                lent::<T>(key, self.mapping.lend(), &whole, self.rows.clone(), undo)
                    .serialize(serializer)
            }
            (Right::Lent(lent), Some(Crossing::ResultOut)) => {
                Wire::Home { key: lent.key, rows: self.rows.clone() }.serialize(serializer)
            }
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
        let crossing = passenger::crossing();
        let rows = self.start..self.start + self.shape().first().copied().unwrap_or(0);
        match &self.hold {
            Hold::Home(array) if matches!(crossing, Some(Crossing::ArgumentOut { .. })) => {
                let key = board(RefAway(self.clone()))?;
                let segment = array.mapping.lend();
                lent::<T>(key, segment, &array.shape, rows, None).serialize(serializer)
            }
            Hold::Lent(lent) if crossing == Some(Crossing::ResultOut) => {
                Wire::Home { key: lent.key, rows }.serialize(serializer)
            }
            _ => Err(S::Error::custom(because(NO_FARM))),
        }
    }
}

fn lent<T>(
    key: Key,
    segment: Name,
    whole: &impl Dimension,
    rows: Range<usize>,
    undo: Option<Name>,
) -> Wire {
    let whole = whole.slice().to_vec();
    Wire::Lent { key, segment, element: size_of::<T>(), whole, rows, undo }
}

impl Part {
    /// Some rows of an array, of which the axes but the first are those of `shape`.
    fn of<T: Element, D: Dimension>(rows: Range<usize>, shape: &D) -> Self {
        let row = shape.slice().iter().skip(1).product::<usize>() * size_of::<T>();
        Self { rows, row }
    }
}

/// Decodes a handle: as a worker opens it, or as the master takes it back.
fn receive<'de, T, D, H, De>(
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
    let refuse = |reason: &dyn Display| De::Error::custom(because(reason));
    match (Wire::deserialize(deserializer)?, passenger::crossing()) {
        (Wire::Lent { key, segment, element, whole, rows, undo }, Some(Crossing::ArgumentIn)) => {
            let whole = shape::<D>(&whole).filter(|whole| {
                let fit = match whole.slice().first() {
                    Some(n) => rows.start <= rows.end && rows.end <= *n,
                    // Without axes there are no rows, and so there is no band.
                    None => rows == (0..0) && access == Access::Read,
                };
                fit && element == size_of::<T>()
            });
            let whole = whole.ok_or_else(|| refuse(&UNFIT))?;
            let mapping = Mapping::open(segment, access).map_err(|error| refuse(&error))?;
            if !mapping.holds::<T, D>(&whole) {
                return Err(refuse(&UNFIT));
            }
            let lent = Arc::new(Lent::new(key, mapping, rows, handle));
            if !passenger::arrives(key, lent.clone()) {
                return Err(refuse(&TWICE));
            }
            if let (Some(undo), Access::Write) = (undo, access) {
                let part = Part::of::<T, D>(lent.rows.clone(), &whole);
                lent.mapping.begin(undo, &part).map_err(|error| refuse(&error))?;
            }
            Ok(open(lent, whole))
        }
        (Wire::Home { key, rows }, Some(Crossing::ResultIn)) => passenger::reclaim(key)
            .and_then(|handle| handle.downcast::<H>().ok())
            .and_then(|handle| narrow(*handle, rows))
            .ok_or_else(|| refuse(&FOREIGN)),
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
        // A band cannot be cut by its task, so it comes back as it went.
        let narrow = |band: Self, rows| (band.rows == rows).then_some(band);
        receive::<T, D, _, _>(deserializer, (Access::Write, "a Band"), open, narrow)
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
        receive::<T, D, _, _>(deserializer, (Access::Read, "an ArrayRef"), open, narrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedArray;
    use farm_core::{Failure, Farm, Function, codec};
    use ndarray::{Ix0, Ix1, IxDyn};

    fn look<T: Element, D: Dimension + 'static>(array: ArrayRef<T, D>) -> usize {
        array.view().len()
    }

    fn look_at_band(band: Band<f64, IxDyn>) -> usize {
        band.view().len()
    }

    /// What a worker makes of a handle of an array of 8 numbers that says that it is of this shape.
    fn received(function: Function, element: usize, whole: &[usize], rows: Range<usize>) -> String {
        let array = SharedArray::<f64, _>::zeros(8).unwrap();
        let key = codec::decode(&codec::encode(&1_u64).unwrap()).unwrap();
        let segment = array.mapping.name();
        let whole = whole.to_vec();
        let wire = Wire::Lent { key, segment, element, whole, rows, undo: None };
        let (argument, mut result) = (codec::encode(&wire).unwrap(), Vec::new());
        match farm_core::run(function.reference().unwrap(), &argument, &mut result) {
            Ok(()) => format!("{} elements", codec::decode::<usize>(&result).unwrap()),
            Err(Failure::Decode(reason)) => reason,
            Err(failure) => format!("{failure:?}"),
        }
    }

    /// A reply that a wild or hostile worker may send: `N` bands, of the key that it was given or of others.
    #[derive(Deserialize)]
    struct Reply<const N: usize>(#[allow(dead_code, reason = "it is decoded")] Vec<Band<u8, Ix1>>);

    struct Forged<const N: usize>(Band<u8, Ix1>);

    impl<const N: usize> Serialize for Forged<N> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Right::Lent(lent) = &self.0.right else { return Err(S::Error::custom("not lent")) };
            let key = if N == 1 {
                // One that this task was not given: the next one.
                let key: u64 = codec::decode(&codec::encode(&lent.key).unwrap()).unwrap();
                codec::decode(&codec::encode(&(key + 1)).unwrap()).unwrap()
            } else {
                lent.key
            };
            let reply = || Wire::Home { key, rows: self.0.rows() };
            serializer.collect_seq((0..N).map(|_| reply()))
        }
    }

    /// Encodes as the one and decodes as the other.
    enum Answer<const N: usize> {
        Forged(Forged<N>),
        Reply,
    }

    impl<const N: usize> Serialize for Answer<N> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Self::Forged(forged) => forged.serialize(serializer),
                Self::Reply => Err(S::Error::custom("it is decoded already")),
            }
        }
    }

    impl<'de, const N: usize> Deserialize<'de> for Answer<N> {
        fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
            Reply::<N>::deserialize(deserializer).map(|_| Self::Reply)
        }
    }

    #[test]
    fn a_band_that_the_task_was_not_given_or_gives_back_twice_is_refused() {
        fn reply<const N: usize>(band: Band<u8, Ix1>) -> Answer<N> {
            Answer::Forged(Forged(band))
        }
        let pool = farm_mono::Pool::new().unwrap();
        let array = SharedArray::<u8, _>::zeros(2).unwrap();
        let (split, bands) = array.split([0..1, 1..2]).unwrap();
        let mut bands = bands.into_iter();
        let outcomes = [
            pool.apply(reply::<1>, bands.next().unwrap()).map(drop),
            pool.apply(reply::<2>, bands.next().unwrap()).map(drop),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            assert!(error.to_string().contains("was not given"), "{error}");
        }
        assert!(split.recover().unwrap().torn.is_empty(), "the tasks came to their ends");
    }

    #[test]
    fn an_array_without_axes_has_no_rows() {
        let point = || Function::of(look::<f64, Ix0>);
        assert_eq!(received(point(), 8, &[], 0..0), "1 elements");
        assert_eq!(received(point(), 8, &[], 100_000..100_000), UNFIT);
        assert_eq!(received(Function::of(look::<f64, IxDyn>), 8, &[], 9..10), UNFIT);
        assert_eq!(received(Function::of(look_at_band), 8, &[], 0..0), UNFIT);
        assert_eq!(received(Function::of(look_at_band), 8, &[8], 2..5), "3 elements");
    }

    #[test]
    fn elements_without_a_size_are_counted_as_well() {
        let nothing = || Function::of(look::<[f64; 0], IxDyn>);
        assert_eq!(received(nothing(), 0, &[1000], 1..999), "998 elements");
        assert_eq!(received(nothing(), 0, &[usize::MAX, usize::MAX], 0..usize::MAX), UNFIT);
    }
}
