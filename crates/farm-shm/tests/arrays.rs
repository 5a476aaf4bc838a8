//! Shared arrays in one process. The conformance tests cover what pools do with them.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use farm_core::backend::prepare;
use farm_core::codec;
use farm_core::prelude::*;
use farm_shm::{ArrayRef, SharedArray, ShmError};
use ndarray::{Array2, Ix1, array};

/// Returns the names of the segments of this test program.
fn segments() -> BTreeSet<String> {
    let mine = format!("farm-{}-", std::process::id());
    let files = std::fs::read_dir("/dev/shm").unwrap().flatten();
    files
        .map(|f| f.file_name().to_string_lossy().into_owned())
        .filter(|f| f.starts_with(&mine))
        .collect()
}

/// Returns the name of the segment behind `array`.
fn segment_of(array: &impl std::fmt::Debug) -> String {
    let text = format!("{array:?}");
    let name = text.split(['(', ')', ' ']).find(|word| word.starts_with("farm-"));
    name.expect("the debug text names the segment").to_owned()
}

#[test]
fn a_segment_lives_as_long_as_its_array() {
    let array = SharedArray::<f64, _>::zeros((3, 3)).unwrap();
    let name = segment_of(&array);
    assert!(segments().contains(&name));
    let frozen = array.freeze();
    assert!(segments().contains(&name));
    let (split, bands) = frozen.thaw().unwrap().split([0..1, 1..3]).unwrap();
    drop(split);
    assert!(segments().contains(&name), "the bands still write to it");
    drop(bands);
    assert!(!segments().contains(&name));
}

#[test]
fn a_panic_removes_the_segment() {
    let mut name = String::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let array = SharedArray::<u8, _>::zeros(10).unwrap();
        name = segment_of(&array);
        std::panic::resume_unwind(Box::new("on purpose"));
    }));
    assert!(outcome.is_err() && !name.is_empty());
    assert!(!segments().contains(&name));
}

#[test]
fn a_segment_is_private_to_its_user_and_has_its_room() {
    use std::os::unix::fs::MetadataExt;
    let array = SharedArray::<f64, _>::zeros((100, 100)).unwrap();
    let file = std::fs::metadata(format!("/dev/shm/{}", segment_of(&array))).unwrap();
    assert_eq!(file.mode() & 0o777, 0o600);
    assert_eq!(file.len(), 80_000);
    assert!(file.blocks() * 512 >= 80_000, "reserved, not sparse");
}

#[test]
fn contents_survive_every_transition() {
    let values = Array2::from_shape_fn((5, 4), |(i, j)| (i * 10 + j) as f64);
    let array = SharedArray::from_array(&values.t()).unwrap();
    assert_eq!(array.view(), values.t());
    let array = array.freeze().thaw().unwrap();
    let (split, bands) = array.split([2..4, 0..2]).unwrap();
    assert_eq!(bands[0].view(), values.t().slice(ndarray::s![2..4, ..]));
    let array = split.join(bands).unwrap();
    assert_eq!(array.view(), values.t());
}

#[test]
fn an_array_without_elements_works() {
    let array = SharedArray::<f64, _>::zeros((0, 5)).unwrap();
    assert_eq!(array.view().dim(), (0, 5));
    let (split, bands) = array.split([]).unwrap();
    assert_eq!(split.join(bands).unwrap().freeze().view().len(), 0);
}

#[test]
fn sizes_that_cannot_be_are_refused_with_figures() {
    let error = SharedArray::<f64, _>::zeros((usize::MAX, 2)).unwrap_err();
    assert!(matches!(error, ShmError::TooLarge { .. }), "{error}");
    let error = SharedArray::<f64, _>::zeros((usize::MAX, 0, 8)).unwrap_err();
    assert!(matches!(error, ShmError::TooLarge { .. }), "{error}");
    let before = segments();
    let error = SharedArray::<f64, _>::zeros(1 << 45).unwrap_err();
    let ShmError::Full { bytes, available, .. } = error else { panic!("{error}") };
    assert_eq!(bytes, 1 << 48);
    assert!(available > 0 && available < 1 << 48);
    assert!(error.to_string().starts_with("256.0 TiB of shared memory are needed"), "{error}");
    assert!(segments().is_subset(&before) || segments().len() <= before.len() + 1);
}

#[test]
fn ranges_that_overlap_or_leave_the_array_are_refused_and_the_array_is_handed_back() {
    let mut array = SharedArray::from_array(&array![1, 2, 3, 4]).unwrap();
    let backward = std::ops::Range { start: 2, end: 1 };
    for (ranges, bad) in [
        (vec![0..3, 2..4], 2..4),
        (vec![1..2, 0..4], 1..2),
        (vec![0..2, 3..5], 3..5),
        (vec![backward.clone()], backward),
    ] {
        let error = array.split(ranges).unwrap_err();
        assert_eq!(error.rows, bad);
        array = error.array;
    }
    assert_eq!(array.view(), array![1, 2, 3, 4]);
}

#[test]
fn bands_of_another_split_do_not_join() {
    let cut = || SharedArray::<u8, _>::zeros(4).unwrap().split([0..2, 2..4]).unwrap();
    let ((one, mut ones), (two, mut twos)) = (cut(), cut());
    std::mem::swap(&mut ones[0], &mut twos[0]);
    let error = one.join(ones).unwrap_err();
    assert_eq!((error.missing, error.foreign), (1, 1));
    let (one, mut ones) = (error.split, error.bands);
    std::mem::swap(&mut ones[0], &mut twos[0]);
    one.join(ones).unwrap();
    two.join(twos).unwrap();
}

#[test]
fn a_handle_cannot_be_encoded_outside_a_farm() {
    let frozen = SharedArray::<f64, _>::zeros(3).unwrap().freeze();
    let error = codec::encode(&frozen).unwrap_err();
    assert!(error.to_string().contains("by a farm alone"), "{error}");
    let (split, bands) = frozen.thaw().unwrap().split([0..3]).unwrap();
    assert!(codec::encode(&bands).is_err());
    split.join(bands).expect("the band is as it was");
}

#[test]
fn a_handle_is_as_small_for_a_large_array_as_for_a_small_one() {
    fn length(array: ArrayRef<u8, Ix1>) -> usize {
        array.view().len()
    }
    let sizes = [1, 1 << 24].map(|n| {
        let frozen = SharedArray::<u8, _>::zeros(n).unwrap().freeze();
        let prepared = prepare(&TaskOptions::new(), length, frozen);
        let Ok(prepared) = prepared else { panic!("it can be encoded") };
        prepared.task.argument.len()
    });
    assert!(sizes[1] < 256 && sizes[1] <= sizes[0] + 2 * 10, "{sizes:?} bytes");
}
