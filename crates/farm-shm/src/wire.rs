//! Handles on the wire: a few bytes, whatever the size of the array.
//!
//! On the way out a handle tells where its array is, and the right to it stays with the master as a
//! passenger of the task. On the way back it is the passenger's key alone, for which the master gives
//! the handle its owner again. Nothing that arrives is believed: shapes and rows are checked against the
//! segment as it is, keys against the passengers of that very task.

use std::any::Any;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use farm_core::codec::because;
use farm_core::passenger::{self, Crossing, Key, Passenger};
use ndarray::{Array, Dimension};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::array_ref::Hold;
use crate::band::Right;
use crate::segment::{Access, Mapping, Name};
use crate::split::Lease;
use crate::{ArrayRef, Band, Element};

#[derive(Serialize, Deserialize)]
enum Wire {
    /// To a worker.
    Lent { key: Key, segment: Name, element: usize, whole: Vec<usize>, rows: Range<usize> },
    /// Back to the master: the rows that the task has left of those it was given.
    Home { key: Key, rows: Range<usize> },
}

const NO_FARM: &str = "a handle of a shared array can be sent by a farm alone; \
                       to save or send the data itself, encode its view";
const FOREIGN: &str = "the reply holds a handle of a shared array that this task was not given";
const TWICE: &str = "the argument holds the same band twice";
const UNFIT: &str = "the handle does not fit its segment";

/// Keeps the right to write to a band's rows while a task has the band.
struct BandAway<T: Element, D: Dimension> {
    /// `None` once the band is back.
    lease: Option<Lease>,
    mapping: Arc<Mapping>,
    whole: D,
    /// The rows as they were when the band was sent, if its task may be sent again.
    former: Option<Array<T, D>>,
}

impl<T: Element, D: Dimension + 'static> Passenger for BandAway<T, D> {
    fn sent(&mut self, again: bool) {
        if again {
            self.restore();
        }
    }

    fn returned(&mut self) {}

    fn lost(&mut self) {
        if !self.restore()
            && let Some(lease) = &mut self.lease
        {
            lease.tear();
        }
    }

    fn reclaim(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.band()?))
    }
}

impl<T: Element, D: Dimension> BandAway<T, D> {
    fn band(&mut self) -> Option<Band<T, D>> {
        let lease = self.lease.take()?;
        Some(Band::home(lease, self.mapping.clone(), &self.whole))
    }

    /// Puts the rows back as they were, if that is known. Nobody uses them: their task has been given up.
    fn restore(&mut self) -> bool {
        let Some(former) = self.former.take() else { return false };
        if let Some(mut band) = self.band() {
            band.view_mut().assign(&former);
            self.lease = band.into_lease();
        }
        self.former = Some(former);
        true
    }
}

/// Keeps an array frozen while a task has a reference to it.
struct RefAway<T: Element, D: Dimension>(ArrayRef<T, D>);

impl<T: Element, D: Dimension + 'static> Passenger for RefAway<T, D> {
    fn sent(&mut self, _again: bool) {}

    fn returned(&mut self) {}

    fn lost(&mut self) {}

    /// As often as one likes: a reference can be cloned, and so it may come back as two.
    fn reclaim(&mut self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.0.clone()))
    }
}

fn board<E: serde::ser::Error>(passenger: impl Passenger + 'static) -> Result<Key, E> {
    passenger::board(Box::new(passenger)).map_err(|_| E::custom(because(NO_FARM)))
}

impl<T: Element, D: Dimension + 'static> Serialize for Band<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let crossing = passenger::crossing();
        match &self.right {
            Right::Home(lease) if let Some(Crossing::ArgumentOut { repeatable }) = crossing => {
                let lease = lease.lock().take();
                let lease = lease
                    .ok_or_else(|| S::Error::custom(because("this band was encoded before")))?;
                let former = repeatable.then(|| self.view().to_owned());
                let mut whole = self.shape.clone();
                // The rows beyond the band's last are the receiver's to ignore.
                whole.slice_mut()[0] = self.rows.end;
                let away = BandAway::<T, D> {
                    lease: Some(lease),
                    mapping: self.mapping.clone(),
                    whole: whole.clone(),
                    former,
                };
                let key = board(away)?;
                lent::<T>(key, self.mapping.name(), &whole, self.rows.clone()).serialize(serializer)
            }
            Right::Lent(key) if crossing == Some(Crossing::ResultOut) => {
                Wire::Home { key: *key, rows: self.rows.clone() }.serialize(serializer)
            }
            _ => Err(S::Error::custom(because(NO_FARM))),
        }
    }
}

impl<T: Element, D: Dimension + 'static> Serialize for ArrayRef<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let crossing = passenger::crossing();
        let rows = self.start..self.start + self.shape().first().copied().unwrap_or(0);
        match &self.hold {
            Hold::Home(array) if matches!(crossing, Some(Crossing::ArgumentOut { .. })) => {
                let key = board(RefAway(self.clone()))?;
                lent::<T>(key, array.mapping.name(), &array.shape, rows).serialize(serializer)
            }
            Hold::Lent { key, .. } if crossing == Some(Crossing::ResultOut) => {
                Wire::Home { key: *key, rows }.serialize(serializer)
            }
            _ => Err(S::Error::custom(because(NO_FARM))),
        }
    }
}

fn lent<T>(key: Key, segment: Name, whole: &impl Dimension, rows: Range<usize>) -> Wire {
    Wire::Lent { key, segment, element: size_of::<T>(), whole: whole.slice().to_vec(), rows }
}

/// A handle that has arrived at a worker.
struct Arrived<D> {
    key: Key,
    mapping: Arc<Mapping>,
    whole: D,
    rows: Range<usize>,
}

/// Decodes a handle: as a worker opens it, or as the master takes it back.
fn receive<'de, T, D, H, De>(
    deserializer: De,
    access: Access,
    open: impl FnOnce(Arrived<D>) -> H,
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
        (Wire::Lent { key, segment, element, whole, rows }, Some(Crossing::ArgumentIn)) => {
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
            if access == Access::Write && !passenger::arrives(key) {
                return Err(refuse(&TWICE));
            }
            Ok(open(Arrived { key, mapping, whole, rows }))
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
        let open = |arrived| {
            let Arrived { key, mapping, whole, rows } = arrived;
            Self::new(Right::Lent(key), mapping, rows, &whole)
        };
        // A band cannot be cut by its task, so it comes back as it went.
        let narrow = |band: Self, rows| (band.rows == rows).then_some(band);
        receive::<T, D, _, _>(deserializer, Access::Write, open, narrow)
    }
}

impl<'de, T: Element, D: Dimension + 'static> Deserialize<'de> for ArrayRef<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let open = |arrived| {
            let Arrived { key, mapping, whole, rows } = arrived;
            Self { hold: Hold::Lent { mapping, key }, start: 0, shape: whole }.narrowed(rows)
        };
        let narrow = |lent: Self, rows: Range<usize>| {
            let end = lent.start + lent.shape().first().copied().unwrap_or(0);
            let fits = lent.start <= rows.start && rows.start <= rows.end && rows.end <= end;
            fits.then(|| lent.narrowed(rows))
        };
        receive::<T, D, _, _>(deserializer, Access::Read, open, narrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedArray;
    use farm_core::{Failure, Function, codec};
    use ndarray::{Ix0, IxDyn};

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
        let wire = Wire::Lent { key, segment, element, whole: whole.to_vec(), rows };
        let (argument, mut result) = (codec::encode(&wire).unwrap(), Vec::new());
        match farm_core::run(function.reference().unwrap(), &argument, &mut result) {
            Ok(()) => format!("{} elements", codec::decode::<usize>(&result).unwrap()),
            Err(Failure::Decode(reason)) => reason,
            Err(failure) => format!("{failure:?}"),
        }
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
