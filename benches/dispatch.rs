//! Measures what it costs to dispatch a task on each backend:
//! `cargo bench -p benches --bench dispatch`.
//!
//! A group is a row of the speed budget, and an id is `backend/workers`. `rayon-bare` is rayon
//! without a farm, and procspawn is the process pool of another crate. Except in `pool_start`,
//! pools are made outside the timed part. Each result is checked once. `docs/benchmarks.md` says
//! how to read the figures.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

mod backends;

use std::hint::black_box;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use backends::{Backend, Mono, Process, ProcessChannel, Procspawn, Rayon, RayonBare, Task};
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use farm_core::Data;
use farm_shm::{ArrayRef, SharedArray, ShmError};
use ndarray::{Array2, Ix1};

/// Runs a row on each of the backends, with its number of workers.
macro_rules! on {
    ([$($kind:ident / $number:literal),+ $(,)?], |$backend:ident, $workers:ident| $row:expr) => {
        $({
            type $backend = $kind;
            let $workers = $number;
            $row;
        })+
    };
}

/// Runs a row on every backend.
macro_rules! on_every_backend {
    ($($row:tt)+) => {
        on!([
            Mono / 1,
            Rayon / 1,
            Rayon / 2,
            RayonBare / 1,
            RayonBare / 2,
            Process / 1,
            Process / 2,
            ProcessChannel / 1,
            ProcessChannel / 2,
            Procspawn / 1,
            Procspawn / 2,
        ], $($row)+)
    };
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn id<B: Backend>(workers: usize) -> BenchmarkId {
    BenchmarkId::new(B::NAME, workers)
}

/// The empty function. Because of `black_box` it is called for each number, not vectorised.
struct Next;

impl Task for Next {
    type Argument = u64;
    type Result = u64;

    fn run(x: u64) -> u64 {
        black_box(x).wrapping_add(1)
    }
}

fn numbers(count: usize) -> Vec<u64> {
    (0..count as u64).collect()
}

/// Round trips of one task, one at once after the other.
fn hot<B: Backend>(group: &mut Group<'_>, workers: usize) {
    let backend = B::start(workers);
    let mut call = backend.caller::<Next>();
    assert_eq!(call(41), 42);
    group.bench_function(id::<B>(workers), |bencher| bencher.iter(|| call(black_box(41))));
}

/// The round trip of one task, with workers that have had nothing to do for a while.
fn asleep<B: Backend>(group: &mut Group<'_>, workers: usize) {
    const IDLE: Duration = Duration::from_millis(2);
    let backend = B::start(workers);
    let mut call = backend.caller::<Next>();
    assert_eq!(call(41), 42);
    let mut wake = || {
        std::thread::sleep(IDLE);
        let begin = Instant::now();
        black_box(call(black_box(41)));
        begin.elapsed()
    };
    group.bench_function(id::<B>(workers), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| wake()).sum());
    });
}

/// Calls `run` with ten times more items each time, until that takes a while. Returns the number of
/// items, at most `most`.
fn enough(most: usize, mut run: impl FnMut(usize)) -> usize {
    const A_WHILE: Duration = Duration::from_millis(20);
    let mut items = 100;
    loop {
        let begin = Instant::now();
        run(items.min(most));
        if items >= most || begin.elapsed() > A_WHILE {
            return items.min(most);
        }
        items *= 10;
    }
}

/// Measures many items or tasks. Slow backends get fewer of them at a time, so that no row takes
/// minutes; compare the elements per second.
fn many<B: Backend>(
    group: &mut Group<'_>,
    workers: usize,
    most: usize,
    run: fn(&B, &[u64]) -> Vec<u64>,
) {
    let backend = B::start(workers);
    let count = enough(most, |count| {
        assert!((1..=count as u64).eq(run(&backend, &numbers(count))));
    });
    let items = numbers(count);
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(id::<B>(workers), |bencher| {
        bencher.iter(|| run(&backend, black_box(&items)));
    });
}

/// Submits many separate tasks.
fn submit<B: Backend>(group: &mut Group<'_>, workers: usize) {
    many::<B>(group, workers, B::MOST_QUEUED.min(10_000), B::submit_all::<Next>);
}

/// Maps many items.
fn map<B: Backend>(group: &mut Group<'_>, workers: usize) {
    many::<B>(group, workers, 1_000_000, B::map::<Next>);
}

/// `SIDE` times `SIDE` elements of `f64` have 8 MiB.
const SIDE: usize = 1 << 10;

/// Arrays that are sent by value.
trait Values: Data + Clone {
    fn filled(x: f64) -> Self;
    fn last(&self) -> f64;
}

impl Values for Vec<f64> {
    fn filled(x: f64) -> Self {
        vec![x; SIDE * SIDE]
    }

    fn last(&self) -> f64 {
        self[SIDE * SIDE - 1]
    }
}

impl Values for Array2<f64> {
    fn filled(x: f64) -> Self {
        Self::from_elem((SIDE, SIDE), x)
    }

    fn last(&self) -> f64 {
        self[(SIDE - 1, SIDE - 1)]
    }
}

struct In<V>(PhantomData<V>);

impl<V: Values> Task for In<V> {
    type Argument = V;
    type Result = f64;

    fn run(values: V) -> f64 {
        values.last()
    }
}

struct Out<V>(PhantomData<V>);

impl<V: Values> Task for Out<V> {
    type Argument = f64;
    type Result = V;

    fn run(x: f64) -> V {
        V::filled(x)
    }
}

struct Both<V>(PhantomData<V>);

impl<V: Values> Task for Both<V> {
    type Argument = V;
    type Result = V;

    fn run(values: V) -> V {
        values
    }
}

/// The round trip of a task with a long argument, a long result, or both.
fn payload<B: Backend, T: Task<Argument: Clone>>(
    group: &mut Group<'_>,
    workers: usize,
    argument: &T::Argument,
    check: impl Fn(&T::Result) -> f64,
) {
    let backend = B::start(workers);
    let mut call = backend.caller::<T>();
    assert_eq!(check(&call(argument.clone())), 0.5);
    group.bench_function(id::<B>(workers), |bencher| {
        bencher.iter_batched(|| argument.clone(), &mut call, BatchSize::PerIteration);
    });
}

/// The three payload rows for arrays of one kind.
fn payloads<V: Values>(criterion: &mut Criterion, kind: &str) {
    let bytes = (SIDE * SIDE * size_of::<f64>()) as u64;
    let values = &V::filled(0.5);
    let mut group = criterion.benchmark_group(format!("payload_8MiB/{kind}_in"));
    group.throughput(Throughput::Bytes(bytes));
    on_every_backend!(|B, n| payload::<B, In<V>>(&mut group, n, values, |last| *last));
    group.finish();
    let mut group = criterion.benchmark_group(format!("payload_8MiB/{kind}_out"));
    group.throughput(Throughput::Bytes(bytes));
    on_every_backend!(|B, n| payload::<B, Out<V>>(&mut group, n, &0.5, V::last));
    group.finish();
    let mut group = criterion.benchmark_group(format!("payload_8MiB/{kind}_both"));
    group.throughput(Throughput::Bytes(2 * bytes));
    on_every_backend!(|B, n| payload::<B, Both<V>>(&mut group, n, values, V::last));
}

type Reader = ArrayRef<f64, Ix1>;

struct Length;

impl Task for Length {
    type Argument = Reader;
    type Result = usize;

    fn run(array: Reader) -> usize {
        array.shape()[0]
    }
}

/// The round trip of a task that is given a shared array, whose size must not matter.
fn array_ref<B: Backend>(group: &mut Group<'_>, workers: usize, array: &Reader) {
    let backend = B::start(workers);
    let mut call = backend.caller::<Length>();
    assert_eq!(call(array.clone()), array.shape()[0]);
    group.bench_function(id::<B>(workers), |bencher| bencher.iter(|| call(array.clone())));
}

fn array_refs(criterion: &mut Criterion, size: &str, bytes: usize) {
    let array = match SharedArray::<f64, Ix1>::zeros(bytes / size_of::<f64>()) {
        Ok(array) => &array.freeze(),
        Err(full @ ShmError::Full { .. }) => {
            eprintln!("array_ref_{size} is skipped: {full}");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let mut group = criterion.benchmark_group(format!("array_ref_{size}"));
    on!(
        [Mono / 1, Rayon / 1, Rayon / 2, Process / 1, Process / 2, ProcessChannel / 1],
        |B, workers| { array_ref::<B>(&mut group, workers, array) }
    );
}

/// Makes a pool and has it do its first task. The end of the pool is not timed.
fn pool_start<B: Backend>(group: &mut Group<'_>, workers: usize) {
    group.bench_function(id::<B>(workers), |bencher| {
        let start = || {
            let backend = B::start(workers);
            assert_eq!(backend.caller::<Next>()(41), 42);
            backend
        };
        bencher.iter_batched(|| (), |()| start(), BatchSize::PerIteration);
    });
}

fn main() {
    farm_process::init();
    procspawn::init();
    // There are many benches, so each is short; arguments can make them longer.
    let criterion = Criterion::default().nresamples(10_000).without_plots().sample_size(20);
    let criterion = criterion.warm_up_time(Duration::from_millis(200));
    let criterion = criterion.measurement_time(Duration::from_millis(600));
    let criterion = &mut criterion.configure_from_args();

    let mut group = criterion.benchmark_group("round_trip/hot");
    on_every_backend!(|B, workers| hot::<B>(&mut group, workers));
    group.finish();
    let mut group = criterion.benchmark_group("round_trip/asleep");
    on_every_backend!(|B, workers| asleep::<B>(&mut group, workers));
    group.finish();
    let mut group = criterion.benchmark_group("submit_pipelined");
    on_every_backend!(|B, workers| submit::<B>(&mut group, workers));
    group.finish();
    let mut group = criterion.benchmark_group("map_u64");
    on_every_backend!(|B, workers| map::<B>(&mut group, workers));
    group.finish();
    payloads::<Vec<f64>>(criterion, "vec");
    payloads::<Array2<f64>>(criterion, "ndarray");
    array_refs(criterion, "1KiB", 1 << 10);
    array_refs(criterion, "1MiB", 1 << 20);
    array_refs(criterion, "1GiB", 1 << 30);
    let mut group = criterion.benchmark_group("pool_start");
    on!(
        [Mono / 2, Rayon / 2, RayonBare / 2, Process / 2, ProcessChannel / 2, Procspawn / 2],
        |B, workers| { pool_start::<B>(&mut group, workers) }
    );
    group.finish();
    criterion.final_summary();
}
