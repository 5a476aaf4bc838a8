//! Measures what shared arrays cost on each pool: `cargo bench -p benches --bench arrays`.
//!
//! A group is a question and a size, and an id is `backend/workers`; `rayon-bare` is rayon on a
//! `Vec`, without a farm. Subtract `task/empty` of the same run from a round trip: the budget for
//! the difference is 2 us, whatever the size. To run the round trips alone, use
//! `cargo bench -p benches --bench arrays -- 'task|array_ref|band/'`.
//!
//! Depending on the scheduler, most of a round trip may be spent on waking another core. Under
//! `taskset -c 0` the whole program is on one core, where round trips vary so little that
//! differences of some hundred nanoseconds show.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use ::rayon::prelude::*;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use farm_core::{Farm, TaskError, TaskOptions};
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray, ShmError, Split};
use ndarray::{ArrayView1, ArrayViewMut1, Ix1};
use {farm_mono as mono, farm_process as process, farm_rayon as rayon};

/// Evaluates an expression for each of the pools, with the pool and its id.
macro_rules! on_pools {
    ([$($backend:ident / $workers:literal),+], |$id:ident, $pool:ident| $run:expr) => {
        $({
            let $pool = &$backend::Pool::builder().workers($workers).build().expect("a pool");
            let $id = BenchmarkId::new(stringify!($backend), $workers);
            $run;
        })+
    };
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;
type Array = SharedArray<f64, Ix1>;
type Reader = ArrayRef<f64, Ix1>;
type Writer = Band<f64, Ix1>;

/// The size of an array in bytes.
#[derive(Clone, Copy)]
struct Size(usize);

const KIB: Size = Size(1 << 10);
const MIB: Size = Size(1 << 20);
const GIB: Size = Size(1 << 30);

impl Size {
    fn elements(self) -> usize {
        self.0 / size_of::<f64>()
    }

    fn throughput(self) -> Throughput {
        Throughput::Bytes(self.0 as u64)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = match self.0 {
            bytes if bytes >= GIB.0 => ("GiB", GIB),
            bytes if bytes >= MIB.0 => ("MiB", MIB),
            _ => ("KiB", KIB),
        };
        write!(f, "{} {name}", self.0 / unit.0)
    }
}

/// An array of zeros. If shared memory has no room for it, this prints a note and returns `None`.
fn zeros(size: Size) -> Option<Array> {
    match SharedArray::zeros(size.elements()) {
        Ok(array) => Some(array),
        Err(full @ ShmError::Full { .. }) => {
            eprintln!("{size} is skipped: {full}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn last(array: &Array) -> f64 {
    array.view()[array.shape()[0] - 1]
}

/// The element at `place` of an array that is filled. Sums of such elements are exact in any order.
fn value(place: usize) -> f64 {
    (place % 1000) as f64
}

fn fill(values: &mut [f64]) {
    values.iter_mut().enumerate().for_each(|(place, element)| *element = value(place));
}

fn filled(size: Size) -> Option<Array> {
    let mut array = zeros(size)?;
    fill(array.view_mut().into_slice().expect("arrays are row-major"));
    Some(array)
}

fn group<'a>(criterion: &'a mut Criterion, name: &str, size: Size) -> Group<'a> {
    short(criterion.benchmark_group(format!("{name}/{size}")))
}

fn short(mut group: Group<'_>) -> Group<'_> {
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

fn next(x: u64) -> u64 {
    x.wrapping_add(1)
}

fn length(array: Reader) -> usize {
    array.shape()[0]
}

fn length_of_band(band: Writer) -> (usize, Writer) {
    (band.shape()[0], band)
}

fn length_of_overwrite(rows: Overwrite<f64, Ix1>) -> (usize, Writer) {
    (rows.shape()[0], rows.into_band())
}

fn sum(array: Reader) -> f64 {
    array.view().sum()
}

fn scale(mut band: Writer) -> Writer {
    scale_view(band.view_mut());
    band
}

fn scale_view(mut view: ArrayViewMut1<'_, f64>) {
    view.mapv_inplace(scaled);
}

fn scaled(x: f64) -> f64 {
    x * 1.000_000_1
}

/// A round trip without an array, to which the others are compared.
fn empty_task(criterion: &mut Criterion) {
    let mut group = short(criterion.benchmark_group("task/empty"));
    on_pools!([mono / 1, rayon / 1, rayon / 2, process / 1, process / 2], |id, pool| {
        group.bench_function(id, |bencher| bencher.iter(|| pool.apply(next, black_box(41))))
    });
}

/// A round trip of a task that is given an array for reading, and does not read it.
fn array_ref(criterion: &mut Criterion, size: Size) {
    let Some(array) = zeros(size).map(Array::freeze) else { return };
    let mut group = group(criterion, "array_ref", size);
    on_pools!([mono / 1, rayon / 1, rayon / 2, process / 1, process / 2], |id, pool| {
        assert_eq!(
            pool.apply(length, array.clone()).expect("the task does not fail"),
            size.elements()
        );
        group.bench_function(id, |bencher| bencher.iter(|| pool.apply(length, array.clone())))
    });
}

/// A band of a whole array, which is sent to one task after the other.
struct Shuttle {
    split: Split<f64, Ix1>,
    band: Option<Writer>,
}

impl Shuttle {
    fn new(array: Array) -> Self {
        let whole = 0..array.shape()[0];
        let (split, mut bands) = array.split([whole]).expect("the rows are there");
        Self { split, band: bands.pop() }
    }

    /// Sends the band to a task and gets it back. Returns the length that the task has seen.
    fn go(&mut self, task: impl FnOnce(Writer) -> Result<(usize, Writer), TaskError>) -> usize {
        let band = self.band.take().expect("it has come back");
        let (length, band) = task(band).expect("the task does not fail");
        self.band = Some(band);
        length
    }

    fn join(self) -> Array {
        self.split.join(self.band.into_iter().collect()).expect("the band is back")
    }
}

/// A round trip of a task that is given an array for writing, and does not write to it.
fn band(criterion: &mut Criterion, size: Size) {
    let Some(mut shuttle) = zeros(size).map(Shuttle::new) else { return };
    let mut group = group(criterion, "band", size);
    on_pools!([mono / 1, rayon / 1, rayon / 2, process / 1, process / 2], |id, pool| {
        let mut go = || shuttle.go(|band| pool.apply(length_of_band, band));
        assert_eq!(go(), size.elements());
        group.bench_function(id, |bencher| bencher.iter(&mut go))
    });
    assert_eq!(shuttle.join().shape(), [size.elements()]);
}

/// The same with retries, for which the worker copies the rows to an undo.
fn band_undo(criterion: &mut Criterion, size: Size) {
    let Some(mut shuttle) = zeros(size).map(Shuttle::new) else { return };
    let mut group = group(criterion, "band_undo", size);
    let retried = TaskOptions::new().retries(1);
    on_pools!([mono / 1, process / 1, process / 2], |id, pool| {
        let mut go =
            || shuttle.go(|band| pool.submit_with(retried.clone(), length_of_band, band).get());
        assert_eq!(go(), size.elements());
        group.bench_function(id, |bencher| bencher.iter(&mut go))
    });
}

/// The same with retries and an `Overwrite`, of whose rows nothing is kept.
fn overwrite(criterion: &mut Criterion, size: Size) {
    let Some(mut shuttle) = zeros(size).map(Shuttle::new) else { return };
    let mut group = group(criterion, "overwrite", size);
    let retried = TaskOptions::new().retries(1);
    on_pools!([mono / 1, process / 1, process / 2], |id, pool| {
        let mut go = || {
            let submit = |rows| pool.submit_with(retried.clone(), length_of_overwrite, rows);
            shuttle.go(|band| submit(band.overwrite()).get())
        };
        assert_eq!(go(), size.elements());
        group.bench_function(id, |bencher| bencher.iter(&mut go))
    });
}

/// Makes an array and drops it, without and with writing to it, beside a `Vec`.
fn create(criterion: &mut Criterion, size: Size) {
    if zeros(size).is_none() {
        return;
    }
    let make = || zeros(size).expect("there was room a moment ago");
    // Long measurements vary little, so few samples are enough.
    let mut group = group(criterion, "create", size);
    group.sample_size(10);
    group.bench_function("shared", |bencher| bencher.iter(make));
    group.finish();

    let mut group = self::group(criterion, "create_and_fill", size);
    group.sample_size(10).throughput(size.throughput());
    group.bench_function("shared", |bencher| {
        bencher.iter(|| {
            let mut array = make();
            fill(array.view_mut().into_slice().expect("arrays are row-major"));
            array
        });
    });
    group.bench_function("vec", |bencher| {
        bencher.iter(|| {
            let mut values = vec![0.0; size.elements()];
            fill(&mut values);
            values
        });
    });
}

/// A worker reads an array that it has not mapped before, or one that it has.
fn first_touch(criterion: &mut Criterion, size: Size) {
    let Some(known) = filled(size).map(Array::freeze) else { return };
    let expected = known.view().sum();
    let fresh = || filled(size).expect("there was room a moment ago").freeze();
    for (name, is_first) in [("first_touch", true), ("second_touch", false)] {
        let mut group = group(criterion, name, size);
        group.throughput(size.throughput());
        on_pools!([mono / 1, process / 1], |id, pool| {
            let read = |array: &Reader| pool.apply(sum, array.clone());
            assert_eq!(read(&known).expect("the task does not fail"), expected);
            group.bench_function(id, |bencher| {
                if is_first {
                    bencher.iter_batched_ref(fresh, |array| read(array), BatchSize::PerIteration);
                } else {
                    bencher.iter(|| read(&known));
                }
            })
        });
    }
}

/// Rayon without a farm, for comparison. The farm's pools of two cut their work in the same way.
fn bare_rayon() -> (BenchmarkId, ::rayon::ThreadPool) {
    let pool = ::rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
    (BenchmarkId::new("rayon-bare", 2), pool)
}

/// The workers read a whole array, each of them a slice.
fn sums(criterion: &mut Criterion, size: Size) {
    let Some(array) = filled(size).map(Array::freeze) else { return };
    let expected = array.view().sum();
    let mut group = group(criterion, "sum", size);
    group.throughput(size.throughput());
    on_pools!([mono / 1, rayon / 2, process / 2], |id, pool| {
        let total = || -> f64 {
            let slices = pool.distribute(size.elements()).into_iter();
            let slices = slices.map(|rows| array.clone().slice(rows));
            pool.map(sum, slices).expect("no task fails").into_iter().sum()
        };
        assert_eq!(total(), expected);
        group.bench_function(id, |bencher| bencher.iter(total))
    });

    let values = array.view().to_vec();
    let (id, pool) = bare_rayon();
    let total = || -> f64 {
        let slices = values.par_chunks(size.elements() / 2);
        pool.install(|| slices.map(|slice| ArrayView1::from(slice).sum()).sum())
    };
    assert_eq!(total(), expected);
    group.bench_function(id, |bencher| bencher.iter(total));
}

/// The workers read and write a whole array, each of them a band.
fn scales(criterion: &mut Criterion, size: Size) {
    let mut array = filled(size);
    let Some(mut values) = array.as_ref().map(|array| array.view().to_vec()) else { return };
    let mut group = group(criterion, "scale", size);
    group.throughput(size.throughput());
    on_pools!([mono / 1, rayon / 2, process / 2], |id, pool| {
        let on_bands = |array: Array| {
            let (split, bands) =
                array.split(pool.distribute(size.elements())).expect("the rows are there");
            split.join(pool.map(scale, bands).expect("no task fails")).expect("all bands are back")
        };
        let before = array.as_ref().map(last);
        array = array.take().map(on_bands);
        assert_eq!(array.as_ref().map(last), before.map(scaled));
        group.bench_function(id, |bencher| bencher.iter(|| array = array.take().map(on_bands)))
    });

    let (id, pool) = bare_rayon();
    let mut on_slices = || {
        let slices = values.par_chunks_mut(size.elements() / 2);
        pool.install(|| slices.for_each(|slice| scale_view(ArrayViewMut1::from(slice))));
    };
    group.bench_function(id, |bencher| bencher.iter(&mut on_slices));
}

fn main() {
    farm_process::init();
    // There are many benches; plots would take longer than the measurements.
    let criterion = Criterion::default().nresamples(10_000).without_plots();
    let criterion = &mut criterion.configure_from_args();
    empty_task(criterion);
    for size in [KIB, MIB, GIB] {
        array_ref(criterion, size);
        band(criterion, size);
    }
    for size in [KIB, MIB] {
        band_undo(criterion, size);
    }
    overwrite(criterion, MIB);
    for size in [KIB, MIB, GIB] {
        create(criterion, size);
    }
    first_touch(criterion, Size(64 * MIB.0));
    for size in [MIB, Size(256 * MIB.0)] {
        sums(criterion, size);
        scales(criterion, size);
    }
    criterion.final_summary();
}
