//! The workers do the work: at least nine tenths of the processor time of both simulations on
//! worker processes are theirs.
//!
//! This is a test program of its own, because the system counts the time of a process and not of a
//! test.

farm_process::init_before_main!();

use farm_core::Farm;
use sims::nbody::{Bodies, Ephemeris, Integrator, OnFarm, Simulation, belt};
use sims::plate::{Method, Plate, Relaxation};

/// The clock ticks of this process, and of its children that have ended. Source: proc_pid_stat(5),
/// fields 14 to 17.
fn ticks() -> (u64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .skip(11)
        .take(4)
        .map(|field| field.parse().unwrap())
        .collect();
    (fields[0] + fields[1], fields[2] + fields[3])
}

/// The workers' share of the processor time of `work`.
fn share(work: impl FnOnce(&farm_process::Pool)) -> f64 {
    let before = ticks();
    let pool = farm_process::Pool::builder().workers(2).build().unwrap();
    work(&pool);
    pool.shutdown();
    let after = ticks();
    let (master, workers) = (after.0 - before.0, after.1 - before.1);
    assert!(workers >= 20, "{workers} ticks are too few to tell");
    workers as f64 / (master + workers) as f64
}

#[test]
fn nine_tenths_of_the_time_of_both_simulations_are_the_workers() {
    let plate = Plate { nx: 2048, ny: 2048, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
    let of_the_plate = share(|pool| {
        Relaxation::new(&plate, Method::Jacobi).unwrap().advance(pool, 900).unwrap();
    });
    assert!(of_the_plate >= 0.9, "plate: {of_the_plate:.3}");

    let planets = Ephemeris::De421.initial_conditions(Bodies::Emb);
    let asteroids = belt::asteroid_belt(6000, 1, &planets.body(0));
    let start = planets.join(&asteroids);
    let of_the_planets = share(|pool| {
        let gravity = OnFarm::new(pool, &start).unwrap();
        let mut simulation = Simulation::new(start, gravity, Integrator::Leapfrog);
        for _ in 0..60 {
            simulation.step(1.0).unwrap();
        }
    });
    assert!(of_the_planets >= 0.9, "solar system: {of_the_planets:.3}");
    eprintln!("workers' share: plate {of_the_plate:.3}, solar system {of_the_planets:.3}");
}
