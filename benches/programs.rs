//! Measures the kernels, and a step of the programs on each pool:
//! `cargo bench -p benches --bench programs`.
//!
//! A group is a scenario. An id is `backend/workers`; for a kernel it is the size, preceded by the
//! set of instructions if there are several. Pools are made outside the timed part, and each result
//! is checked once against the pool on the caller's thread.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use farm_core::Farm;
use ndarray::{Array2, s};
use sims::nbody::gravity::{DirectSum, Level};
use sims::nbody::{Bodies, Ephemeris, Integrator, OnFarm, Simulation, System, belt};
use sims::plate::{Method, Multigrid, Plate, Relaxation, laplacian};

/// Runs a scenario on each pool.
macro_rules! on_every_pool {
    ($group:expr, $scenario:ident) => {{
        let mut group = $group;
        for workers in [1, 2] {
            let pool = farm_mono::Pool::builder().workers(workers).build().expect("a pool");
            $scenario(&mut group, BenchmarkId::new("mono", workers), &pool);
            let pool = farm_rayon::Pool::builder().workers(workers).build().expect("a pool");
            $scenario(&mut group, BenchmarkId::new("rayon", workers), &pool);
            let pool = farm_process::Pool::builder()
                .workers(workers)
                .pinned(workers == 2)
                .build()
                .expect("a pool");
            $scenario(&mut group, BenchmarkId::new("process", workers), &pool);
        }
        group.finish();
    }};
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

const PLATE: Plate = Plate { nx: 1024, ny: 1024, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
const SWEEPS: usize = 32;

/// Jacobi sweeps of the heated plate: as many as are done in one pass over the rows.
fn plate_sweep(group: &mut Group<'_>, id: BenchmarkId, pool: &impl Farm) {
    let start = || Relaxation::new(&PLATE, Method::Jacobi).expect("fits into memory");
    let mono = farm_mono::Pool::new().expect("a pool");
    let (mut expected, mut plate) = (start(), start());
    expected.advance(&mono, SWEEPS).expect("no task fails");
    plate.advance(pool, SWEEPS).expect("no task fails");
    assert_eq!(plate.temperatures(), expected.temperatures());

    group.throughput(Throughput::Elements((PLATE.nx * PLATE.ny * SWEEPS) as u64));
    group.bench_function(id, |bencher| bencher.iter(|| plate.advance(pool, SWEEPS)));
}

/// A multigrid cycle of the heated plate.
fn plate_cycle(group: &mut Group<'_>, id: BenchmarkId, pool: &impl Farm) {
    let start = || Multigrid::new(&PLATE).expect("fits into memory");
    let mono = farm_mono::Pool::new().expect("a pool");
    let (mut expected, mut plate) = (start(), start());
    expected.advance(&mono, 1).expect("no task fails");
    plate.advance(pool, 1).expect("no task fails");
    assert_eq!(plate.temperatures(), expected.temperatures());

    group.throughput(Throughput::Elements((PLATE.nx * PLATE.ny) as u64));
    group.bench_function(id, |bencher| bencher.iter(|| plate.advance(pool, 1)));
}

/// One sweep of a plate, without a pool.
fn laplacian_kernel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("laplacian");
    for n in [510, 4094] {
        let plate = Plate { nx: n, ny: n, ..PLATE };
        let (old, mut new) = (plate.initial(), plate.initial());
        group.throughput(Throughput::Elements((n * n) as u64));
        group.bench_function(BenchmarkId::from_parameter(n), |bencher| {
            bencher.iter(|| laplacian(old.view(), new.slice_mut(s![1..=n, ..])));
        });
    }
}

/// The accelerations of bodies, without a pool.
fn gravity_kernel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gravity");
    let all = bodies();
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        for n in [10, 1000, 4096] {
            let system: System = all.bodies().take(n).collect();
            let mut sum = DirectSum::new(system.gm.view(), level);
            let mut accelerations = Array2::zeros((n, 3));
            group.throughput(Throughput::Elements((n * n) as u64));
            group.bench_function(BenchmarkId::new(level.name(), n), |bencher| {
                bencher.iter(|| {
                    sum.accelerations(system.positions.view(), accelerations.view_mut());
                });
            });
        }
    }
}

fn bodies() -> System {
    let planets = Ephemeris::De421.initial_conditions(Bodies::Emb);
    let asteroids = belt::asteroid_belt(4086, 1, &planets.body(0));
    planets.join(&asteroids)
}

/// One leapfrog step of the solar system.
fn solar_system_step(group: &mut Group<'_>, id: BenchmarkId, pool: &impl Farm) {
    let bodies = bodies();
    let mono = farm_mono::Pool::new().expect("a pool");
    let gravity = OnFarm::new(&mono, &bodies).expect("fits into memory");
    let mut expected = Simulation::new(bodies.clone(), gravity, Integrator::Leapfrog);
    expected.step(1.0).expect("no task fails");
    let gravity = OnFarm::new(pool, &bodies).expect("fits into memory");
    let mut simulation = Simulation::new(bodies.clone(), gravity, Integrator::Leapfrog);
    simulation.step(1.0).expect("no task fails");
    assert_eq!(simulation.system(), expected.system());

    group.throughput(Throughput::Elements((bodies.len() * bodies.len()) as u64));
    group.bench_function(id, |bencher| bencher.iter(|| simulation.step(1.0)));
}

fn main() {
    farm_process::init();
    let mut criterion = Criterion::default().configure_from_args();
    laplacian_kernel(&mut criterion);
    gravity_kernel(&mut criterion);
    on_every_pool!(criterion.benchmark_group("plate_sweep"), plate_sweep);
    on_every_pool!(criterion.benchmark_group("plate_cycle"), plate_cycle);
    on_every_pool!(criterion.benchmark_group("solar_system_step"), solar_system_step);
    criterion.final_summary();
}
