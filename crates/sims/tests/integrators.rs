//! The integrators against a reference run, their own order, and what gravity conserves.

use ndarray::Array2;
use serde::Deserialize;
use sims::nbody::{Bodies, Integrator, Serial, Simulation, System, de421};

const REFERENCE: &str = include_str!("data/integrator_reference.csv");

/// One body after steps of one day.
#[derive(Deserialize)]
struct Row {
    integrator: String,
    t_d: f64,
    name: String,
    x_au: f64,
    y_au: f64,
    z_au: f64,
    vx_au_d: f64,
    vy_au_d: f64,
    vz_au_d: f64,
}

fn simulation(integrator: Integrator, start: System) -> Simulation<Serial> {
    let gravity = Serial::new(&start);
    Simulation::new(start, gravity, integrator)
}

fn advance(simulation: &mut Simulation<Serial>, dt: f64, steps: usize) {
    for _ in 0..steps {
        simulation.step(dt).expect("the bodies stay apart");
    }
}

fn run(integrator: Integrator, dt: f64, steps: usize) -> System {
    let mut run = simulation(integrator, de421::initial_conditions(Bodies::Emb));
    advance(&mut run, dt, steps);
    run.into_system()
}

fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(|x| x * x).sum().sqrt()
}

#[test]
fn a_year_ends_where_the_reference_says() {
    let rows: Vec<Row> = csv::Reader::from_reader(REFERENCE.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()
        .expect("the reference is well-formed");
    for (label, integrator) in
        [("verlet_kdk", Integrator::Leapfrog), ("yoshida4_dkd", Integrator::Yoshida4)]
    {
        let rows: Vec<_> = rows.iter().filter(|row| row.integrator == label).collect();
        let system = run(integrator, 1.0, rows[0].t_d as usize);
        assert_eq!(rows.len(), system.len());
        for (row, body) in rows.iter().zip(system.bodies()) {
            assert_eq!(row.name, body.name);
            let position = [row.x_au, row.y_au, row.z_au];
            let velocity = [row.vx_au_d, row.vy_au_d, row.vz_au_d];
            for c in 0..3 {
                assert!((body.position[c] - position[c]).abs() < 1e-12, "{label} {}", row.name);
                assert!((body.velocity[c] - velocity[c]).abs() < 1e-13, "{label} {}", row.name);
            }
        }
    }
}

#[test]
fn halving_the_step_shows_the_order() {
    for (integrator, order) in [(Integrator::Leapfrog, 2.0), (Integrator::Yoshida4, 4.0)] {
        let [coarse, middle, fine] =
            [0.5, 0.25, 0.125].map(|dt| run(integrator, dt, (32.0 / dt) as usize).positions);
        let measured = (distance(&coarse, &middle) / distance(&middle, &fine)).log2();
        assert!((measured - order).abs() < 0.05, "{} has order {measured}", integrator.name());
    }
}

#[test]
fn energy_stays_within_the_error_of_the_integrator() {
    for (integrator, dt, steps, bound) in
        [(Integrator::Leapfrog, 1.0, 365, 3e-6), (Integrator::Yoshida4, 0.25, 4 * 365, 1e-10)]
    {
        let mut state = simulation(integrator, de421::initial_conditions(Bodies::Emb));
        let before = state.system().total_energy();
        for _ in 0..steps {
            advance(&mut state, dt, 1);
            let error = (state.system().total_energy() / before - 1.0).abs();
            assert!(error < bound, "{}: {error:e}", integrator.name());
        }
    }
}

#[test]
fn angular_momentum_is_conserved() {
    let before = run(Integrator::Leapfrog, 1.0, 0).angular_momentum();
    let size = before.map(|l| l * l).iter().sum::<f64>().sqrt();
    for integrator in Integrator::ALL {
        let after = run(integrator, 1.0, 365).angular_momentum();
        for c in 0..3 {
            let error = (after[c] - before[c]).abs() / size;
            assert!(error < 1e-13, "{}: {error:e}", integrator.name());
        }
    }
}

#[test]
fn going_back_in_time_returns_to_the_start() {
    let start = de421::initial_conditions(Bodies::EarthMoon);
    for integrator in Integrator::ALL {
        let mut state = simulation(integrator, start.clone());
        advance(&mut state, 1.0, 200);
        assert!(distance(&state.system().positions, &start.positions) > 1.0);
        advance(&mut state, -1.0, 200);
        let back = state.into_system();
        assert!(distance(&back.positions, &start.positions) < 1e-12);
        assert!(distance(&back.velocities, &start.velocities) < 1e-13);
    }
}
