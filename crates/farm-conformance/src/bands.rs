//! Bands: several arrays in one task, rows that are only written, rows of failed tasks, handles
//! that a task keeps.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use farm_core::Stage;
use farm_core::prelude::*;
use farm_shm::bytemuck::{Pod, Zeroable};
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{Array1, Array2, Ix1, Ix2, IxDyn, array};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Backend;
use crate::gate::{Gate, attempts_before};

/// One task writes positions and velocities and reads masses.
pub fn bands_of_several_arrays_go_to_one_task<B: Backend>() {
    type Step = (Band<f64, Ix2>, Band<f64, Ix2>, ArrayRef<f64, Ix1>);
    fn step((mut positions, mut velocities, masses): Step) -> (Band<f64, Ix2>, Band<f64, Ix2>) {
        let rows = masses.slice(positions.rows());
        for (i, mass) in rows.view().iter().enumerate() {
            velocities.view_mut().row_mut(i).mapv_inplace(|v| v + mass);
        }
        positions.view_mut().scaled_add(2.0, &velocities.view());
        (positions, velocities)
    }
    let pool = B::pool(2);
    let masses = SharedArray::from_fn(5, |i| i as f64).unwrap().freeze();
    let zeros = || SharedArray::<f64, _>::zeros((5, 3)).unwrap();
    let (positions, p_bands) = zeros().split(pool.distribute(5)).unwrap();
    let (velocities, v_bands) = zeros().split(pool.distribute(5)).unwrap();
    let tasks = p_bands.into_iter().zip(v_bands).map(|(p, v)| (p, v, masses.clone()));
    let (p_bands, v_bands): (Vec<_>, Vec<_>) = pool.map(step, tasks).unwrap().into_iter().unzip();
    let error = positions.join(v_bands).unwrap_err();
    let own = p_bands.len();
    assert_eq!((error.missing, error.foreign), (own, own), "all of the other array");
    let positions = error.split.join(p_bands).unwrap();
    let velocities = velocities.join(error.bands).unwrap();
    let masses = Array2::from_shape_fn((5, 3), |(i, _)| i as f64);
    assert_eq!(velocities.view(), masses);
    assert_eq!(positions.view(), 2.0 * masses);
}

/// A task returns written rows as a `Band` or as an `Overwrite`, with retries and without.
pub fn rows_that_are_only_written_are_given_back<B: Backend>() {
    type Rows = Overwrite<u64, Ix1>;
    fn as_a_band(rows: Rows) -> Band<u64, Ix1> {
        let first = rows.rows().start as u64;
        rows.fill_with(|i| first + i as u64)
    }
    fn as_they_came(mut rows: Rows) -> Rows {
        let first = rows.rows().start as u64;
        for (i, element) in (first..).zip(rows.view_mut()) {
            *element = 10 * i;
        }
        rows
    }
    let pool = B::pool(2);
    for retries in [0, 1] {
        let submit = |band: Band<_, _>| {
            let options = TaskOptions::new().retries(retries);
            pool.submit_with(options, as_a_band, band.overwrite())
        };
        let array = SharedArray::<u64, _>::zeros(5).unwrap();
        let (split, bands) = array.split(pool.distribute(5)).unwrap();
        let handles: Vec<_> = bands.into_iter().map(submit).collect();
        let bands = handles.into_iter().map(|handle| handle.get().unwrap()).collect();
        assert_eq!(split.join(bands).unwrap().view(), array![0, 1, 2, 3, 4]);
    }
    let (split, bands) = SharedArray::zeros(3).unwrap().split([0..1, 1..3]).unwrap();
    let rows = pool.map(as_they_came, bands.into_iter().map(Band::overwrite)).unwrap();
    let bands = rows.into_iter().map(Overwrite::into_band).collect();
    assert_eq!(split.join(bands).unwrap().view(), array![0, 10, 20]);
}

/// Bands of a user's own struct, of three-byte elements, with a number of axes known only at run
/// time, and without elements.
pub fn bands_of_any_plain_data_and_any_number_of_axes<B: Backend>() {
    #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
    #[bytemuck(crate = "farm_shm::bytemuck")]
    #[repr(C)]
    struct Body {
        position: [f64; 3],
        id: u32,
        flags: [u8; 4],
    }
    fn number(mut band: Band<Body, Ix1>) -> Band<Body, Ix1> {
        let first = band.rows().start as u32;
        for (id, body) in (first..).zip(band.view_mut()) {
            *body = Body { position: [f64::from(id); 3], id, flags: [1, 2, 3, 4] };
        }
        band
    }
    fn last_byte(mut band: Band<[u8; 3], IxDyn>) -> Band<[u8; 3], IxDyn> {
        band.view_mut().iter_mut().for_each(|bytes| bytes[2] = 7);
        band
    }
    fn untouched(band: Band<f64, Ix2>) -> Band<f64, Ix2> {
        assert!(band.view().is_empty());
        band
    }
    let pool = B::pool(2);
    let (split, bands) = SharedArray::zeros(3).unwrap().split([2..3, 0..2]).unwrap();
    let bodies = split.join(pool.map(number, bands).unwrap()).unwrap();
    let expected = |id: u32| Body { position: [f64::from(id); 3], id, flags: [1, 2, 3, 4] };
    assert!(bodies.view().iter().copied().eq((0..3).map(expected)));

    let array = SharedArray::zeros(IxDyn(&[3, 1, 1, 5])).unwrap();
    let (split, bands) = array.split([1..3]).unwrap();
    let array = split.join(pool.map(last_byte, bands).unwrap()).unwrap();
    let rows = array.view();
    assert!(rows.indexed_iter().all(|(at, bytes)| *bytes == [0, 0, if at[0] > 0 { 7 } else { 0 }]));

    let (split, bands) = SharedArray::zeros((4, 0)).unwrap().split([0..3, 3..4]).unwrap();
    let options = TaskOptions::new().retries(1);
    let handles: Vec<_> =
        bands.into_iter().map(|b| pool.submit_with(options.clone(), untouched, b)).collect();
    let bands = handles.into_iter().map(|handle| handle.get().unwrap()).collect();
    assert_eq!(split.join(bands).unwrap().shape(), [4, 0]);
}

/// Doubles rows in place, and panics half-way in the first `failures` attempts.
fn double((gate, failures, mut band): (PathBuf, usize, Band<f64, Ix1>)) -> (Band<f64, Ix1>, usize) {
    let before = attempts_before(gate);
    for (i, x) in band.view_mut().into_iter().enumerate() {
        assert!(i < 50 || before >= failures, "half-way");
        *x *= 2.0;
    }
    (band, before)
}

/// A task that is retried after a panic finds its rows unchanged; a pool that does not retry panics
/// refuses the request.
pub fn a_task_that_is_started_again_finds_its_rows_as_they_were<B: Backend>() {
    let pool = B::pool(1);
    let numbers = Array1::from_shape_fn(100, |i| i as f64);
    let array = SharedArray::from_array(&numbers).unwrap();
    let options = TaskOptions::new().retries(2).retry_panics(true);
    let attempt = |array: SharedArray<f64, Ix1>, failures| {
        let gate = Gate::new();
        let (split, mut bands) = array.split([0..100]).unwrap();
        let argument = (gate.0.clone(), failures, bands.remove(0));
        (split, pool.submit_with(options.clone(), double, argument).get())
    };
    let (split, outcome) = attempt(array, 2);
    let mut array = match outcome {
        Ok((band, 2)) => split.join(vec![band]).unwrap(),
        Ok((_, before)) => panic!("done after {before} attempts"),
        Err(TaskError::Unsupported { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(array.view(), 2.0 * &numbers);

    // The rows are restored after the last failed attempt too, and the undo can be used again.
    for _ in 0..2 {
        let (split, outcome) = attempt(array, usize::MAX);
        assert!(matches!(outcome, Err(TaskError::Panicked { .. })));
        let recovered = split.recover().unwrap();
        assert!(recovered.torn.is_empty(), "they are as they were");
        array = recovered.array;
        assert_eq!(array.view(), 2.0 * &numbers);
    }
    let (split, outcome) = attempt(array, 1);
    assert_eq!(split.join(vec![outcome.unwrap().0]).unwrap().view(), 4.0 * &numbers);
}

/// In a pool that lends handles, a task that keeps them fails with an error that names them, and
/// the master does not get the arrays back while the handles are kept. On threads the task owns the
/// handles and may keep them like any value.
pub fn a_handle_that_is_kept_beyond_its_task_is_told_by_name<B: Backend>() {
    type Handles = (Band<u8, Ix1>, ArrayRef<u8, Ix1>);
    // The pools that are tested in one program each add their own handles.
    static KEPT: Mutex<Vec<Handles>> = Mutex::new(Vec::new());
    fn keep(handles: Handles) {
        KEPT.lock().unwrap().push(handles);
    }
    let pool = B::pool(1);
    let (split, mut bands) = SharedArray::zeros(4).unwrap().split([1..3]).unwrap();
    let frozen = SharedArray::zeros(5).unwrap().freeze();
    let outcome = pool.apply(keep, (bands.remove(0), frozen.clone().slice(0..2)));
    if B::ENCODES {
        let error = outcome.unwrap_err();
        let TaskError::Escaped { handles, .. } = &error else { panic!("{error}") };
        assert!(handles[0].starts_with("a Band of rows 1..3 of farm-"), "{handles:?}");
        assert!(handles[1].starts_with("an ArrayRef of rows 0..2 of farm-"), "{handles:?}");
        assert!(error.to_string().contains(&handles[0]), "{error}");
    } else {
        outcome.unwrap();
    }
    assert_eq!(pool.apply(f64::sqrt, 4.0).unwrap(), 2.0, "the pool works");

    // A worker process takes the handles with it when it ends; on threads they are still here.
    let is_here = !KEPT.lock().unwrap().is_empty();
    let (split, frozen) = match split.recover() {
        Ok(recovered) => {
            assert!(!is_here && recovered.torn == [1..3]);
            frozen.thaw().unwrap();
            return;
        }
        Err(split) => (split, frozen.thaw().expect_err("it can be read")),
    };
    assert!(is_here, "a band is out that nobody has");
    KEPT.lock().unwrap().clear();
    frozen.thaw().unwrap();
    let torn = split.recover().unwrap().torn;
    assert_eq!(torn.is_empty(), !B::ENCODES);
}

/// A task may give handles to threads of its own, if these have dropped them when the task ends.
pub fn a_task_may_share_its_handles_with_threads_of_its_own<B: Backend>() {
    fn halves(mut band: Band<u64, Ix1>) -> Band<u64, Ix1> {
        let (mut front, mut back) = band.view_mut().split_at(ndarray::Axis(0), 50);
        std::thread::scope(|scope| {
            scope.spawn(|| front.fill(1));
            scope.spawn(|| back.fill(2));
        });
        band
    }
    fn sum(array: ArrayRef<u64, Ix1>) -> u64 {
        let part = array.clone();
        let sum = std::thread::spawn(move || part.slice(0..50).view().sum());
        sum.join().unwrap() + array.slice(50..100).view().sum()
    }
    let pool = B::pool(2);
    let (split, bands) = SharedArray::zeros(100).unwrap().split([0..100]).unwrap();
    let array = split.join(pool.map(halves, bands).unwrap()).unwrap().freeze();
    for _ in 0..20 {
        assert_eq!(pool.apply(sum, array.clone()).unwrap(), 150);
    }
    array.thaw().unwrap();
}

/// Encodes as the band that it contains, which may have more owners.
struct Held(Arc<Mutex<Band<u8, Ix1>>>);

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.lock().unwrap().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        Ok(Self(Arc::new(Mutex::new(Band::deserialize(deserializer)?))))
    }
}

/// A band that has another owner is not sent, because the master must not have a handle that is
/// lent to a task. The master keeps the band and may send it later.
pub fn a_band_that_somebody_still_holds_is_not_sent<B: Backend>() {
    fn fill(held: Held) {
        held.0.lock().unwrap().view_mut().fill(1);
    }
    let pool = B::pool(1);
    let (split, mut bands) = SharedArray::<u8, _>::zeros(4).unwrap().split([0..4]).unwrap();
    let band = Arc::new(Mutex::new(bands.remove(0)));
    let outcome = pool.apply(fill, Held(band.clone()));
    if B::ENCODES {
        let error = outcome.unwrap_err();
        assert!(matches!(error, TaskError::Encode { stage: Stage::Argument, .. }), "{error}");
        assert!(error.to_string().contains("still held"), "{error}");
        assert_eq!(band.lock().unwrap().view().sum(), 0);
        pool.apply(fill, Held(band)).unwrap();
    } else {
        outcome.unwrap();
        drop(band);
    }
    let recovered = split.recover().unwrap();
    assert!(recovered.torn.is_empty());
    assert_eq!(recovered.array.view().sum(), 4);
}

/// Writes to its band when it is dropped.
#[derive(Serialize, Deserialize)]
struct WritesLast(Band<u8, Ix1>);

impl Drop for WritesLast {
    fn drop(&mut self) {
        self.0.view_mut().fill(9);
    }
}

/// The master drops an argument before the task begins, so what its `Drop` writes comes first.
pub fn the_master_is_done_with_an_argument_before_its_task_begins<B: Backend>() {
    /// The value of the rows at the start, if it does not change.
    fn look_for_some_time(argument: WritesLast) -> Option<u8> {
        let before = argument.0.view().to_owned();
        let stays = (0..2000).all(|_| {
            std::thread::yield_now();
            argument.0.view() == before
        });
        stays.then_some(before[0])
    }
    let pool = B::pool(1);
    // On threads the task gets the argument itself, which is dropped after the task.
    let expected = if B::ENCODES { 9 } else { 0 };
    for _ in 0..20 {
        let array = SharedArray::<u8, _>::zeros(1000).unwrap();
        let (split, mut bands) = array.split([0..1000]).unwrap();
        let seen = pool.apply(look_for_some_time, WritesLast(bands.remove(0))).unwrap();
        assert_eq!(seen, Some(expected));
        assert!(split.recover().unwrap().array.view().iter().all(|x| *x == 9));
    }
}

/// A value that leaves its handle out when it is decoded is an error of its task: the rows of the
/// band could be those of a failed attempt.
pub fn a_handle_that_is_left_out_of_a_decoded_argument_is_an_error<B: Backend>() {
    struct Forgets(Option<Band<u8, Ix1>>);
    impl Serialize for Forgets {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.as_ref().expect("not decoded").serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Forgets {
        fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
            u64::deserialize(deserializer).map(|_key| Self(None))
        }
    }
    fn ignore(argument: Forgets) {
        drop(argument.0);
    }
    let pool = B::pool(1);
    let (split, mut bands) = SharedArray::<u8, _>::zeros(2).unwrap().split([0..2]).unwrap();
    let outcome = pool.apply(ignore, Forgets(Some(bands.remove(0))));
    assert_eq!(outcome.is_err(), B::ENCODES);
    if let Err(error) = outcome {
        assert!(error.to_string().contains("left out a handle"), "{error}");
    }
    split.recover().unwrap();
}

/// A task whose argument panics when the master drops it is not sent, and the rows of its bands are
/// whole.
pub fn an_argument_that_panics_when_it_is_dropped_is_an_error_of_its_task<B: Backend>() {
    #[derive(Serialize, Deserialize)]
    struct Bomb(Band<u8, Ix1>);
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    fn forget(bomb: Bomb) {
        std::mem::forget(bomb);
    }
    if !B::ENCODES {
        return;
    }
    let pool = B::pool(1);
    let (split, mut bands) = SharedArray::<u8, _>::zeros(2).unwrap().split([0..2]).unwrap();
    let error = pool.apply(forget, Bomb(bands.remove(0))).unwrap_err();
    assert!(error.to_string().contains("its `Drop` panicked: dropped"), "{error}");
    assert!(split.recover().unwrap().torn.is_empty());
}

/// A task cannot hide a handle that it keeps by calling functions of the farm.
pub fn a_task_cannot_make_the_farm_forget_what_it_keeps<B: Backend>() {
    static KEPT: Mutex<Vec<Band<u8, Ix1>>> = Mutex::new(Vec::new());
    struct Nothing;
    impl farm_core::backend::Deliver for Nothing {
        fn deliver(
            &self,
            _: std::ops::Range<u32>,
            _: Result<farm_core::backend::Payload, TaskError>,
            _: farm_core::backend::Loans,
        ) -> Option<std::task::Waker> {
            None
        }
    }
    fn keep(band: Band<u8, Ix1>) {
        let mut mailbox = farm_core::backend::Mailbox::default();
        let task = farm_core::TaskId::next();
        mailbox.expect(task, 1, Arc::new(Nothing), farm_core::backend::Loans::default());
        mailbox.strand(task);
        KEPT.lock().unwrap().push(band);
    }
    let pool = B::pool(1);
    let (_split, mut bands) = SharedArray::<u8, _>::zeros(2).unwrap().split([0..2]).unwrap();
    let outcome = pool.apply(keep, bands.remove(0));
    assert_eq!(matches!(outcome, Err(TaskError::Escaped { .. })), B::ENCODES);
    KEPT.lock().unwrap().clear();
}

/// The rows are restored even if the first attempt has written to them and the second fails before
/// it begins.
pub fn rows_are_as_they_were_when_the_last_attempt_cannot_begin<B: Backend>() {
    struct Refuses(PathBuf, Band<u8, Ix1>);
    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (&self.0, &self.1).serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Refuses {
        fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
            let (gate, band) = <(PathBuf, _)>::deserialize(deserializer)?;
            if attempts_before(gate.clone()) > 0 {
                return Err(serde::de::Error::custom("no more"));
            }
            Ok(Self(gate, band))
        }
    }
    fn half(mut argument: Refuses) {
        argument.1.view_mut()[0] = 1;
        panic!("half-way in {}", argument.0.display());
    }
    let (pool, gate) = (B::pool(1), Gate::new());
    let array = SharedArray::<u8, _>::zeros(2).unwrap();
    let (split, mut bands) = array.split([0..2]).unwrap();
    let options = TaskOptions::new().retries(1).retry_panics(true);
    let argument = Refuses(gate.0.clone(), bands.remove(0));
    match pool.submit_with(options, half, argument).get().unwrap_err() {
        TaskError::Decode { stage: Stage::Argument, .. } => {}
        TaskError::Unsupported { .. } => return,
        other => panic!("{other}"),
    }
    let recovered = split.recover().unwrap();
    assert!(recovered.torn.is_empty(), "they were kept");
    assert_eq!(recovered.array.view(), array![0, 0]);
}

/// A band is torn if its task panics with the band as the payload.
pub fn a_band_that_is_thrown_in_a_panic_is_torn<B: Backend>() {
    fn throw(mut band: Band<u8, Ix1>) {
        band.view_mut()[0] = 1;
        std::panic::panic_any(band);
    }
    let pool = B::pool(1);
    let (split, mut bands) = SharedArray::<u8, _>::zeros(2).unwrap().split([0..2]).unwrap();
    assert!(matches!(pool.apply(throw, bands.remove(0)), Err(TaskError::Panicked { .. })));
    assert_eq!(split.recover().unwrap().torn, [0..2]);
}
