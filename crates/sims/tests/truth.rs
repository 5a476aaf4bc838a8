//! Runs compared with the ephemerides that they start from: heliocentric errors after one year and
//! after ten, relative to the errors of the models, and runs forth and back.

use ndarray::Array2;
use serde::Deserialize;
use sims::nbody::{
    Bodies, Ephemeris, Forces, Integrator, PostNewtonian, Serial, Simulation, System,
};

const YEAR: f64 = 365.25;

/// A body at one time.
#[derive(Deserialize)]
struct Row {
    epoch_yr: f64,
    name: String,
    x_au: f64,
    y_au: f64,
    z_au: f64,
}

fn truth(ephemeris: Ephemeris) -> Vec<Row> {
    let table = match ephemeris {
        Ephemeris::De421 => include_str!("data/de421_truth.csv"),
        Ephemeris::De440 => include_str!("data/de440_truth.csv"),
    };
    let rows = csv::Reader::from_reader(table.as_bytes()).into_deserialize();
    rows.collect::<Result<_, _>>().expect("the table is well-formed")
}

/// The errors of converged runs of a model against DE421, in km: each body with its errors after
/// one and after ten years.
type Model = [(&'static str, [f64; 2])];

const NEWTON: &Model = &[
    ("mercury", [57.7, 1823.0]),
    ("venus", [98.8, 900.0]),
    ("emb", [56.0, 560.0]),
    ("mars", [39.7, 343.0]),
    ("jupiter", [0.88, 69.0]),
    ("saturn", [0.34, 18.0]),
    ("uranus", [0.27, 3.2]),
    ("neptune", [0.26, 3.5]),
    ("pluto", [0.27, 3.8]),
];

const RELATIVITY: &Model = &[
    ("mercury", [0.07, 0.42]),
    ("venus", [0.03, 0.19]),
    ("earth", [0.25, 3.1]),
    ("moon", [21.0, 176.0]),
    ("mars", [0.07, 1.1]),
    ("jupiter", [0.18, 0.45]),
    ("saturn", [0.24, 3.6]),
    ("uranus", [0.26, 3.7]),
    ("neptune", [0.26, 3.8]),
    ("pluto", [0.27, 4.1]),
];

/// Runs ten years; after one and after ten, the error of each body must be below twice that of the
/// model.
fn check<F: Forces<Error: std::fmt::Debug>>(
    mut run: Simulation<F>,
    step: f64,
    ephemeris: Ephemeris,
    model: &Model,
) {
    let truth = truth(ephemeris);
    for (epoch, years) in [1.0, 10.0].into_iter().enumerate() {
        run.advance_to(years * YEAR, step).expect("the bodies stay apart");
        let place = |name: &str| {
            let row = truth.iter().find(|row| row.epoch_yr == years && row.name == name);
            let row = row.expect("the table has all bodies at all times");
            [row.x_au, row.y_au, row.z_au]
        };
        let system = run.system();
        for (name, errors) in model {
            let i = system.names.iter().position(|body| body == name).expect("it has run");
            let square = |c: usize| {
                let ours = system.positions[[i, c]] - system.positions[[0, c]];
                (ours - (place(name)[c] - place("sun")[c])).powi(2)
            };
            let error = (0..3).map(square).sum::<f64>().sqrt() * ephemeris.au_km();
            let by = run.integrator().name();
            let of = ephemeris.name();
            assert!(
                error < 2.0 * errors[epoch],
                "{by}, {of}, {years} years: {name} is {error:.3} km off, not {}",
                errors[epoch]
            );
        }
    }
}

/// The most accurate integrators, and the longest step for each.
const BEST: [(Integrator, f64); 3] = [
    (Integrator::Ias15, f64::INFINITY),
    (Integrator::Dop853, f64::INFINITY),
    (Integrator::Symplectic8, 1.0),
];

fn with_relativity(start: System, integrator: Integrator) -> Simulation<PostNewtonian<Serial>> {
    let gravity = PostNewtonian::new(Serial::new(&start), &start);
    Simulation::new(start, gravity, integrator)
}

#[test]
fn with_relativity_and_the_moon_the_ephemerides_are_met_within_some_kilometres() {
    for ephemeris in [Ephemeris::De421, Ephemeris::De440] {
        for (integrator, step) in BEST {
            let start = ephemeris.initial_conditions(Bodies::EarthMoon);
            check(with_relativity(start, integrator), step, ephemeris, RELATIVITY);
        }
    }
}

#[test]
fn newtons_errors_are_those_of_the_model() {
    for ephemeris in [Ephemeris::De421, Ephemeris::De440] {
        for (integrator, step) in BEST {
            let start = ephemeris.initial_conditions(Bodies::Emb);
            let gravity = Serial::new(&start);
            let run = Simulation::new(start, gravity, integrator);
            check(run, 4.0 * step, ephemeris, NEWTON);
        }
    }
}

fn distance(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(|x| x * x).sum().sqrt()
}

#[test]
fn ten_years_there_and_back_end_at_the_start() {
    let start = Ephemeris::De440.initial_conditions(Bodies::EarthMoon);
    for (integrator, step) in BEST {
        for there in [10.0 * YEAR, -10.0 * YEAR] {
            let mut run = with_relativity(start.clone(), integrator);
            run.advance_to(there, step).expect("the bodies stay apart");
            assert_eq!(run.time(), there);
            assert!(distance(&run.system().positions, &start.positions) > 1.0);
            run.advance_to(0.0, step).expect("the bodies stay apart");
            let off = distance(&run.system().positions, &start.positions);
            let bound = if integrator == Integrator::Dop853 { 1e-8 } else { 1e-11 };
            assert!(off < bound, "{}: {off:e} AU", integrator.name());
        }
    }
}
