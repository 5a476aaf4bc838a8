//! Handles with keys, grants and shapes that no correct partner sends.

use super::*;
use crate::SharedArray;
use farm_core::backend::{Failure, Function};
use farm_core::{Farm, codec};
use ndarray::{Ix0, Ix1, IxDyn};

fn look<T: Element, D: Dimension + 'static>(array: ArrayRef<T, D>) -> usize {
    array.view().len()
}

fn look_at_band(band: Band<f64, IxDyn>) -> usize {
    band.view().len()
}

/// Returns what a worker says to a handle of an array of 8 numbers that is lent in this way: the
/// number of its elements, or why it is refused.
fn lent(
    function: Function,
    access: Access,
    element: usize,
    whole: &[usize],
    rows: Range<usize>,
) -> String {
    let array = SharedArray::<f64, _>::zeros(8).unwrap();
    let (segment, whole) = (array.mapping.name(), whole.to_vec());
    let grant = Grant { access, segment, element, whole, rows, undo: None };
    let mut argument = codec::encode(&7_u64).unwrap();
    let grants = codec::encode(&[(7_u64, codec::encode(&grant).unwrap())].to_vec()).unwrap();
    argument.extend(&grants);
    argument.extend(u32::try_from(grants.len()).unwrap().to_le_bytes());
    let mut result = Vec::new();
    // SAFETY: nothing else uses the array. The code under test must refuse what is not lent.
    let done =
        unsafe { farm_core::backend::run(function.reference().unwrap(), &argument, &mut result) };
    match done {
        Ok(form) => {
            format!("{} elements", codec::decode_form::<usize>(&result, form).unwrap())
        }
        Err(Failure::Decode { reason, .. }) => reason,
        Err(failure) => format!("{failure:?}"),
    }
}

/// A reply that only a faulty or hostile worker sends: `N` bands. One band has a key that the task
/// was not given; two have the key that it was given.
#[derive(Deserialize)]
struct Reply<const N: usize>(#[allow(dead_code, reason = "it is decoded")] Vec<Band<u8, Ix1>>);

struct Forged<const N: usize>(Band<u8, Ix1>);

impl<const N: usize> Serialize for Forged<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Right::Lent(lent) = &self.0.right else { return Err(S::Error::custom("not lent")) };
        let key = if N == 1 {
            // A key that this task was not given: the next one.
            let key: u64 = codec::decode(&codec::encode(&lent.key).unwrap()).unwrap();
            codec::decode(&codec::encode(&(key + 1)).unwrap()).unwrap()
        } else {
            lent.key
        };
        let reply = || Return { key, rows: self.0.rows() };
        serializer.collect_seq((0..N).map(|_| reply()))
    }
}

/// Encodes as a [`Forged`], and decodes as a [`Reply`].
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

/// Encodes as an [`ArrayRef`], and decodes as a [`Band`].
enum Disguise {
    Read(ArrayRef<f64, Ix1>),
    Write(Band<f64, Ix1>),
}

impl Serialize for Disguise {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Read(array) => array.serialize(serializer),
            Self::Write(band) => band.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Disguise {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        Band::deserialize(deserializer).map(Self::Write)
    }
}

#[test]
fn what_is_lent_to_be_read_is_not_written() {
    fn write(disguise: Disguise) {
        let Disguise::Write(mut band) = disguise else { panic!("it is decoded as a band") };
        band.view_mut().fill(1.0);
    }
    let pool = farm_mono::Pool::new().unwrap();
    let frozen = SharedArray::<f64, _>::zeros(3).unwrap().freeze();
    let error = pool.apply(write, Disguise::Read(frozen.clone())).unwrap_err();
    assert!(error.to_string().contains(UNFIT), "{error}");
    assert_eq!(frozen.view().sum(), 0.0);
}

#[test]
fn a_band_cannot_be_had_back_before_it_was_sent() {
    struct Greedy(Band<u8, Ix1>);
    impl Serialize for Greedy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let key: Key = codec::decode(&codec::encode(&self.0).unwrap()).unwrap();
            assert!(loan::reclaim(key).is_none() && loan::take_grant(key).is_none());
            self.0.serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Greedy {
        fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
            Band::deserialize(deserializer).map(Self)
        }
    }
    let pool = farm_mono::Pool::new().unwrap();
    let array = SharedArray::<u8, _>::zeros(2).unwrap();
    let (split, mut bands) = array.split([0..2]).unwrap();
    let error = pool.apply(|_: Greedy| (), Greedy(bands.remove(0))).unwrap_err();
    assert!(error.to_string().contains("in it twice"), "{error}");
    split.recover().unwrap();
}

#[test]
fn an_array_without_axes_has_no_rows() {
    let look_at = |function, whole: &[usize], rows| lent(function, Access::Read, 8, whole, rows);
    let point = || Function::of(look::<f64, Ix0>);
    assert_eq!(look_at(point(), &[], 0..0), "1 elements");
    assert_eq!(look_at(point(), &[], 100_000..100_000), UNFIT);
    assert_eq!(look_at(Function::of(look::<f64, IxDyn>), &[], 9..10), UNFIT);
    let band =
        |whole: &[usize], rows| lent(Function::of(look_at_band), Access::Write, 8, whole, rows);
    assert_eq!(band(&[], 0..0), UNFIT);
    assert_eq!(band(&[8], 2..5), "3 elements");
}

#[test]
fn elements_without_a_size_are_counted_as_well() {
    let nothing = |whole: &[usize], rows| {
        lent(Function::of(look::<[f64; 0], IxDyn>), Access::Read, 0, whole, rows)
    };
    assert_eq!(nothing(&[1000], 1..999), "998 elements");
    assert_eq!(nothing(&[usize::MAX, usize::MAX], 0..usize::MAX), UNFIT);
}
