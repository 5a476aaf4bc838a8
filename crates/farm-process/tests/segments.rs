//! Shared arrays in other processes: what is gone, and what is very large.

farm_process::init_before_main!();

mod common;

use common::{is_usable, part, play, pool};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_shm::{ArrayRef, Band, SharedArray, ShmError};
use ndarray::Ix1;

fn sum(array: ArrayRef<u8, Ix1>) -> u64 {
    array.view().iter().map(|x| u64::from(*x)).sum()
}

#[test]
fn an_array_whose_segment_is_gone_is_an_error_of_its_task() {
    let name = "an_array_whose_segment_is_gone_is_an_error_of_its_task";
    if part().is_some() {
        let pool = pool(1);
        let array = SharedArray::<u8, _>::zeros(100).unwrap().freeze();
        farm_shm::remove_all();
        let error = pool.apply(sum, array.clone()).unwrap_err();
        assert!(matches!(error, TaskError::Decode { what: "argument", .. }), "{error}");
        assert!(error.to_string().contains("farm-"), "it names the segment: {error}");
        is_usable(&pool);
        assert_eq!(array.view().len(), 100, "the master has it still");
        return;
    }
    guard("gone", || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn rows_beyond_four_gib_are_reached() {
    const LENGTH: usize = (4 << 30) + 1000;
    fn fill_with_ones(mut band: Band<u8, Ix1>) -> Band<u8, Ix1> {
        band.view_mut().fill(1);
        band
    }
    guard("large", || {
        let array = match SharedArray::<u8, _>::zeros(LENGTH) {
            Ok(array) => array,
            Err(error @ ShmError::Full { .. }) => {
                eprintln!("not tried: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let pool = pool(1);
        let (split, bands) = array.split([100..200, LENGTH - 500..LENGTH]).unwrap();
        let array = split.join(pool.map(fill_with_ones, bands).unwrap()).unwrap().freeze();
        let ends = [array.clone().slice(0..1000), array.slice(LENGTH - 1000..LENGTH)];
        assert_eq!(pool.map(sum, ends).unwrap(), [100, 500]);
    });
}
