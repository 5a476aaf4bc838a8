//! Shared arrays: the same program, with the same handles, on every pool.

use farm_core::prelude::*;
use farm_shm::{ArrayRef, Band, Element, SharedArray};
use ndarray::{Array, Array2, Dimension, Ix1, Ix2, array};
use serde::{Deserialize, Serialize};

use crate::Backend;

fn sum(part: ArrayRef<f64, Ix2>) -> f64 {
    part.view().sum()
}

/// Many tasks read a frozen array at once, each its own rows, and the last handle can be thawed.
pub fn a_frozen_array_is_read_by_all_and_thawed_when_the_last_is_back<B: Backend>() {
    let pool = B::pool(3);
    let values = Array2::from_shape_fn((100, 7), |(i, j)| (10 * i + j) as f64);
    let whole = SharedArray::from_array(&values).unwrap().freeze();
    let parts = pool.distribute(100).into_iter().map(|rows| whole.clone().slice(rows));
    let sums = pool.map(sum, parts).unwrap();
    assert_eq!(sums.iter().sum::<f64>(), values.sum());
    let kept = whole.clone();
    let whole = whole.thaw().unwrap_err();
    drop(kept);
    let mut array = whole.thaw().unwrap();
    array.view_mut().fill(1.0);
    assert_eq!(
        pool.apply(sum, array.freeze()).unwrap(),
        700.0,
        "workers see what was written since"
    );
}

fn number_rows(mut band: Band<i64, Ix2>) -> Band<i64, Ix2> {
    let first = band.rows().start as i64;
    for (i, mut row) in (first..).zip(band.view_mut().outer_iter_mut()) {
        row.mapv_inplace(|x| x + 100 * i);
    }
    band
}

/// Bands of uneven ranges are written, some rows belong to no band, and the array is split several
/// times.
pub fn bands_are_written_by_their_tasks_and_joined<B: Backend>() {
    let pool = B::pool(2);
    let mut array = SharedArray::<i64, _>::zeros((10, 3)).unwrap();
    for round in 1..=5_i64 {
        let (split, bands) = array.split([5..9, 0..1, 1..1, 1..4]).unwrap();
        array = split.join(pool.map(number_rows, bands).unwrap()).unwrap();
        for (i, row) in (0..).zip(array.view().outer_iter()) {
            let expected = if i == 4 || i == 9 { 0 } else { 100 * i * round };
            assert!(row.iter().all(|x| *x == expected), "row {i} in round {round}: {row}");
        }
    }
}

fn increment<T, D>(mut band: Band<T, D>) -> Band<T, D>
where
    T: Element + std::ops::AddAssign + From<u8>,
    D: Dimension + 'static,
{
    band.view_mut().iter_mut().for_each(|x| *x += T::from(1));
    band
}

/// Arrays of `f32`, `f64`, `i32`, `i64` and `u8` have one to three dimensions.
pub fn every_element_type_and_up_to_three_dimensions<B: Backend>() {
    fn check<T, D>(pool: &impl Farm, shape: D)
    where
        T: Element + std::ops::AddAssign + From<u8> + PartialEq + std::fmt::Debug,
        D: Dimension + 'static,
    {
        let array = SharedArray::<T, D>::zeros(shape.clone()).unwrap();
        let ranges = pool.distribute(shape.slice()[0]);
        let (split, bands) = array.split(ranges).unwrap();
        let array = split.join(pool.map(increment::<T, D>, bands).unwrap()).unwrap();
        assert_eq!(array.view(), Array::from_elem(shape, T::from(1)));
    }
    let pool = &B::pool(2);
    check::<f32, _>(pool, Ix1(1001));
    check::<f64, _>(pool, ndarray::Ix3(5, 3, 2));
    check::<i32, _>(pool, Ix2(7, 5));
    check::<i64, _>(pool, Ix1(1));
    check::<u8, _>(pool, ndarray::Ix3(3, 1, 17));
    check::<u8, _>(pool, Ix2(0, 4));
}

/// The loss of one band leaves the other bands and the array usable.
pub fn a_panic_in_a_band_leaves_the_array_and_names_its_rows<B: Backend>() {
    fn fail_in_the_middle(mut band: Band<f64, Ix1>) -> Band<f64, Ix1> {
        band.view_mut()[0] = 1.0;
        assert!(band.rows().start != 4, "half-way");
        band.view_mut()[1] = 1.0;
        band
    }
    let pool = B::pool(2);
    let array = SharedArray::<f64, _>::zeros(6).unwrap();
    let (split, bands) = array.split([0..2, 2..4, 4..6]).unwrap();
    let outcomes = pool.map_each(fail_in_the_middle, bands);
    let split = split.recover().expect_err("two bands are still here");
    let (good, bad): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(bad[0].as_ref().unwrap_err().to_string().contains("half-way"));
    let good: Vec<_> = good.into_iter().flatten().collect();
    let error = split.join(good).unwrap_err();
    assert_eq!((error.missing, error.foreign), (1, 0));
    drop(error.bands);
    let recovered = error.split.recover().unwrap();
    assert_eq!(recovered.torn, [4..6]);
    assert_eq!(recovered.array.view(), array![1.0, 1.0, 1.0, 1.0, 1.0, 0.0]);
}

/// A task need not return its band; the rows remain as the task has left them.
pub fn a_band_that_a_task_drops_goes_back_to_its_split<B: Backend>() {
    fn fill(mut band: Band<u8, Ix1>) {
        band.view_mut().fill(7);
    }
    let pool = B::pool(1);
    let (split, bands) = SharedArray::<u8, _>::zeros(5).unwrap().split([0..5]).unwrap();
    pool.for_each(fill, bands).unwrap();
    let recovered = split.recover().unwrap();
    assert!(recovered.torn.is_empty());
    assert_eq!(recovered.array.view(), array![7, 7, 7, 7, 7]);
}

/// A task may return references, narrowed and more of them than it got.
pub fn a_reference_can_be_returned<B: Backend>() {
    type Part = ArrayRef<f64, Ix1>;
    fn cut(whole: Part) -> (Part, Part) {
        (whole.clone().slice(0..2), whole.slice(2..3))
    }
    let pool = B::pool(1);
    let array = SharedArray::from_array(&array![0.0, 1.0, 2.0, 3.0]).unwrap();
    let (front, back) = pool.apply(cut, array.freeze().slice(1..4)).unwrap();
    assert_eq!((front.view(), back.view()), (array![1.0, 2.0].view(), array![3.0].view()));
    drop(front);
    assert_eq!(back.thaw().unwrap().view(), array![0.0, 1.0, 2.0, 3.0]);
}

/// An argument that cannot be encoded leaves the rows of its bands whole and its arrays unfrozen.
pub fn a_handle_in_an_argument_that_cannot_be_encoded_is_not_lost<B: Backend>() {
    #[derive(Deserialize)]
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    fn take(_: (Band<f64, Ix1>, ArrayRef<f64, Ix1>, Refuses)) {}
    let pool = B::pool(1);
    let frozen = SharedArray::<f64, _>::zeros(2).unwrap().freeze();
    let (split, mut bands) = SharedArray::<f64, _>::zeros(4).unwrap().split([0..4]).unwrap();
    let band = bands.pop().unwrap();
    let outcome = pool.apply(take, (band, frozen.clone(), Refuses));
    assert_eq!(outcome.is_err(), B::ENCODES);
    assert!(split.recover().unwrap().torn.is_empty());
    assert!(frozen.thaw().is_ok());
}
