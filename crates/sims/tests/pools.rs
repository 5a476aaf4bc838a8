//! Both simulations on every pool, with different numbers of workers: the results agree with the
//! reference, and have the same bits.

farm_process::init_before_main!();

use farm_core::Farm;
use ndarray::{Array2, ArrayView2};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sims::nbody::driver::inline_below;
use sims::nbody::gravity::Level;
use sims::nbody::{
    Bodies, Ephemeris, Forces, Integrator, OnFarm, Serial, Simulation, System, belt,
};
use sims::plate::{Method, Plate, Relaxation, Update};

/// Runs `$body` with `$farm` bound to each pool in turn, and returns the results in a vector.
macro_rules! on_every_pool {
    ($farm:ident => $body:expr) => {{
        let mut results = Vec::new();
        for workers in [1, 2, 3, 7] {
            let $farm = &farm_mono::Pool::builder().workers(workers).build().unwrap();
            results.push($body);
            let $farm = &farm_rayon::Pool::builder().workers(workers).build().unwrap();
            results.push($body);
            let $farm = &farm_process::Pool::builder().workers(workers).build().unwrap();
            results.push($body);
        }
        results
    }};
}

fn rows<T: DeserializeOwned>(table: &str) -> Vec<T> {
    csv::Reader::from_reader(table.as_bytes()).into_deserialize().collect::<Result<_, _>>().unwrap()
}

fn bits(array: &Array2<f64>) -> Vec<u64> {
    array.iter().map(|x| x.to_bits()).collect()
}

fn sweep(farm: &impl Farm, plate: &Plate, sweeps: usize) -> (Array2<f64>, Update) {
    let mut relaxation = Relaxation::new(plate, Method::Jacobi).unwrap();
    let update = relaxation.advance(farm, sweeps).unwrap();
    (relaxation.temperatures().to_owned(), update)
}

#[derive(Deserialize)]
struct Iterate {
    sweeps: usize,
    i: usize,
    j: usize,
    #[serde(rename = "T")]
    temperature: f64,
    last_update_linf: f64,
    last_update_l2: f64,
}

#[test]
fn every_pool_meets_the_iterates_of_extended_precision_with_the_same_bits() {
    let plate = Plate { nx: 62, ny: 62, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
    let rows: Vec<Iterate> = rows(include_str!("data/jacobi_iterates_public.csv"));
    assert_eq!(rows.len(), 12);
    for point in rows.chunks(3) {
        let results = on_every_pool!(farm => sweep(farm, &plate, point[0].sweeps));
        for (temperatures, update) in &results {
            assert_eq!(bits(temperatures), bits(&results[0].0));
            assert_eq!(update, &results[0].1);
            for row in point {
                assert_eq!(row.sweeps, point[0].sweeps);
                assert!((temperatures[[row.j, row.i]] - row.temperature).abs() < 1e-11);
                assert!((update.linf / row.last_update_linf - 1.0).abs() < 1e-9);
                assert!((update.l2 / row.last_update_l2 - 1.0).abs() < 1e-9);
            }
        }
    }
}

fn advance(farm: &impl Farm, system: &System, integrator: Integrator, steps: usize) -> System {
    let gravity = OnFarm::new(farm, system).unwrap();
    let mut simulation = Simulation::new(system.clone(), gravity, integrator);
    for _ in 0..steps {
        simulation.step(1.0).unwrap();
    }
    simulation.into_system()
}

#[derive(Deserialize)]
struct Row {
    integrator: String,
    name: String,
    n_steps: String,
    x_au: f64,
    y_au: f64,
    z_au: f64,
}

#[test]
fn every_pool_meets_the_reference_integrations_with_the_same_bits() {
    let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
    let rows: Vec<Row> = rows(include_str!("data/integrator_reference.csv"));
    for (label, integrator) in
        [("verlet_kdk", Integrator::Leapfrog), ("yoshida4_dkd", Integrator::Yoshida4)]
    {
        let rows: Vec<_> = rows.iter().filter(|row| row.integrator == label).collect();
        assert_eq!(rows.len(), 10);
        let steps = rows[0].n_steps.parse().unwrap();
        let results = on_every_pool!(farm => advance(farm, &start, integrator, steps));
        for result in &results {
            assert_eq!(bits(&result.positions), bits(&results[0].positions));
            assert_eq!(bits(&result.velocities), bits(&results[0].velocities));
            for (row, body) in rows.iter().zip(result.bodies()) {
                assert_eq!(row.name, body.name);
                for (x, expected) in body.position.iter().zip([row.x_au, row.y_au, row.z_au]) {
                    assert!((x - expected).abs() < 1e-12, "{label} {}", row.name);
                }
            }
        }
    }
}

#[test]
fn a_belt_has_the_same_bits_on_every_pool() {
    let planets = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
    let asteroids = belt::asteroid_belt(2100, 7, &planets.body(0));
    let start = planets.join(&asteroids);
    for integrator in Integrator::ALL {
        let results = on_every_pool!(farm => advance(farm, &start, integrator, 1));
        for result in &results {
            assert_eq!(bits(&result.positions), bits(&results[0].positions));
            assert_eq!(bits(&result.velocities), bits(&results[0].velocities));
        }
    }
}

#[test]
fn every_level_has_its_bits_on_every_pool() {
    let planets = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
    let asteroids = belt::asteroid_belt(4100, 7, &planets.body(0));
    let start = planets.join(&asteroids);
    let (x, v) = (start.positions.view(), start.velocities.view());
    for level in Level::ALL.into_iter().filter(|level| level.is_available()) {
        let mut serial = Serial::at_level(&start, level);
        let expected = gravity(&mut serial, x, v).unwrap();
        let results = on_every_pool!(farm => {
            let mut on_farm = OnFarm::at_level(farm, &start, level).unwrap();
            assert!(!on_farm.inline());
            // The second call reuses the arrays of the first.
            gravity(&mut on_farm, x, v).unwrap();
            gravity(&mut on_farm, x, v).unwrap()
        });
        for result in results {
            for (a, b) in result.iter().zip(&expected) {
                assert_eq!(bits(a), bits(b));
            }
        }
    }
}

/// Computes the attraction, and the accelerations and jerks.
fn gravity<F: Forces>(
    forces: &mut F,
    x: ArrayView2<f64>,
    v: ArrayView2<f64>,
) -> Result<[Array2<f64>; 3], F::Error> {
    let mut out = [0, 1, 2].map(|_| Array2::zeros(x.raw_dim()));
    let [attraction, accelerations, jerks] = &mut out;
    forces.attraction(x, attraction.view_mut())?;
    forces.accelerations_and_jerks(x, v, accelerations.view_mut(), jerks.view_mut())?;
    Ok(out)
}

#[test]
fn few_bodies_and_only_they_are_computed_in_line() {
    let planets = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
    for workers in [1, 2, 7] {
        let farm = &farm_mono::Pool::builder().workers(workers).build().unwrap();
        let least = inline_below(workers);
        for (n, inline) in [(11, true), (least - 1, true), (least, false), (least + 1, false)] {
            let system = planets.clone().join(&belt::asteroid_belt(n - 11, 7, &planets.body(0)));
            assert_eq!(OnFarm::new(farm, &system).unwrap().inline(), inline);
        }
    }
}
