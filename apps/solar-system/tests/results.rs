//! The results of the program, and the contents of its files.

use app_testing::Workplace;
use ndarray::Array3;
use serde::Deserialize;
use sha2::{Digest, Sha256};

const PROGRAM: &str = env!("CARGO_BIN_EXE_solar-system");
const HEADER: &str = "name,x_au,y_au,z_au,vx_au_d,vy_au_d,vz_au_d\n";
const START: &str = include_str!("../../../crates/sims/data/de421_initial_conditions.csv");
const REFERENCE: &str = include_str!("../../../crates/sims/tests/data/integrator_reference.csv");

/// The keys of the JSON object that these tests use.
#[derive(Deserialize)]
struct Report {
    steps: usize,
    bodies: usize,
    checksum: String,
}

/// A body, as in the program's files and in the reference tables.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Body {
    name: String,
    x_au: f64,
    y_au: f64,
    z_au: f64,
    vx_au_d: f64,
    vy_au_d: f64,
    vz_au_d: f64,
}

impl Body {
    fn position(&self) -> [f64; 3] {
        [self.x_au, self.y_au, self.z_au]
    }

    fn velocity(&self) -> [f64; 3] {
        [self.vx_au_d, self.vy_au_d, self.vz_au_d]
    }
}

fn table(text: &str) -> Vec<Body> {
    csv::Reader::from_reader(text.as_bytes()).into_deserialize().map(Result::unwrap).collect()
}

fn names(bodies: &[Body]) -> Vec<&str> {
    bodies.iter().map(|body| body.name.as_str()).collect()
}

/// The initial planets without `left_out`, the bodies that others represent.
fn start_without(left_out: &[&str]) -> Vec<Body> {
    let all = table(START).into_iter();
    all.filter(|body| !left_out.contains(&body.name.as_str())).collect()
}

/// Runs the program, and reads its final state.
fn run(place: &Workplace, arguments: &str) -> (Report, Vec<Body>) {
    let report: Report = place.report(&format!("{arguments} --final-state state.csv"));
    let text = String::from_utf8(place.read("state.csv")).unwrap();
    assert!(text.starts_with(HEADER), "{text}");
    let bodies = table(&text);
    assert_eq!(bodies.len(), report.bodies);
    // The file keeps all digits.
    let mut sum = Sha256::new();
    let positions = bodies.iter().flat_map(Body::position);
    for number in positions.chain(bodies.iter().flat_map(Body::velocity)) {
        sum.update(number.to_le_bytes());
    }
    let sum: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report.checksum, sum, "{arguments}");
    (report, bodies)
}

#[test]
fn a_year_ends_where_the_reference_says_on_every_pool() {
    #[derive(Deserialize)]
    struct Row {
        integrator: String,
        n_steps: String,
    }
    let place = Workplace::new(PROGRAM);
    let labels: Vec<Row> = csv::Reader::from_reader(REFERENCE.as_bytes())
        .into_deserialize()
        .map(Result::unwrap)
        .collect();
    for (label, integrator) in [
        ("verlet_kdk", "leapfrog --step 1"),
        ("yoshida4_dkd", "yoshida4 --step 1"),
        ("hermite4_pec", "hermite4 --step 1"),
        ("ias15", "ias15 --bodies emb"),
    ] {
        let rows = labels.iter().zip(table(REFERENCE)).filter(|(row, _)| row.integrator == label);
        let (rows, expected): (Vec<_>, Vec<_>) = rows.unzip();
        for backend in ["mono", "process", "rayon"] {
            let year = "--days 365 --asteroids 0";
            let pool = format!("--integrator {integrator} --backend {backend}");
            let (report, found) = run(&place, &format!("{year} {pool}"));
            if label != "ias15" {
                assert_eq!(report.steps.to_string(), rows[0].n_steps);
            }
            assert_eq!(names(&found), names(&expected));
            for (body, expected) in found.iter().zip(&expected) {
                for c in 0..3 {
                    let place = body.position()[c] - expected.position()[c];
                    let speed = body.velocity()[c] - expected.velocity()[c];
                    assert!(place.abs() < 1e-12, "{pool} {}: {place:e} AU", body.name);
                    assert!(speed.abs() < 1e-13, "{pool} {}: {speed:e} AU/day", body.name);
                }
            }
        }
    }
}

#[test]
fn a_run_of_no_days_ends_where_it_starts() {
    let place = Workplace::new(PROGRAM);
    let (report, found) = run(&place, "--days 0 --asteroids 0 --bodies emb");
    assert_eq!(report.steps, 0);
    assert_eq!(found, start_without(&["earth", "moon"]));
    let (report, _) = run(&place, "--days 0 --asteroids 0 --step 1");
    assert_eq!(report.steps, 0);
}

#[test]
fn earth_and_moon_are_two_bodies_if_asked_for() {
    let place = Workplace::new(PROGRAM);
    let (_, found) = run(&place, "--days 0 --asteroids 0 --bodies earth-moon");
    assert_eq!(found.len(), 11);
    let (mut found, mut expected) = (found, start_without(&["emb"]));
    assert_eq!(names(&found)[2..6], ["venus", "earth", "moon", "mars"]);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(found, expected);
}

#[test]
fn asteroids_are_those_of_their_seed_and_a_larger_belt_starts_with_the_smaller() {
    let place = Workplace::new(PROGRAM);
    let belt = |arguments: &str| run(&place, &format!("--days 0 {arguments}")).1.split_off(11);
    let small = belt("--asteroids 5 --seed 7");
    assert_eq!(names(&small)[..2], ["asteroid-000001", "asteroid-000002"]);
    assert_eq!(names(&small)[4..], ["asteroid-000005"]);
    assert_eq!(belt("--asteroids 5 --seed 7"), small);
    assert_eq!(belt("--asteroids 40 --seed 7")[..5], small);
    assert_ne!(belt("--asteroids 5 --seed 8"), small);
    assert_eq!(belt("--asteroids 5"), belt("--asteroids 5 --seed 1"));
    assert_eq!(belt("").len(), 2000);
}

#[test]
fn the_trajectory_goes_from_the_start_to_the_end() {
    let place = Workplace::new(PROGRAM);
    let read = || -> Array3<f64> { ndarray_npy::read_npy(place.path("places.npy")).unwrap() };
    let arguments = "--integrator leapfrog --step 1 --asteroids 3 --output places.npy";
    let (_, last) = run(&place, &format!("--days 9 --every 3 {arguments}"));
    let nine = read();
    assert_eq!(nine.dim(), (4, 13, 3));
    for (i, body) in start_without(&["earth", "moon"]).iter().enumerate() {
        assert_eq!(nine.slice(ndarray::s![0, i, ..]).to_vec(), body.position());
    }
    for (i, body) in last.iter().enumerate() {
        assert_eq!(nine.slice(ndarray::s![3, i, ..]).to_vec(), body.position());
    }
    // If `every` does not divide the steps, the last steps have no sample.
    run(&place, &format!("--days 11 --every 3 {arguments}"));
    assert_eq!(read(), nine);
    run(&place, &format!("--days 11 {arguments}"));
    assert_eq!(read().dim(), (12, 13, 3));
    run(&place, "--days 3000 --step 1 --asteroids 0 --output places.npy");
    assert_eq!(read().dim(), (501, 11, 3));
    run(&place, "--days 30 --asteroids 0 --output places.npy");
    assert_eq!(read().dim(), (4, 11, 3));
}

#[test]
fn steps_are_as_many_as_it_takes_and_equal() {
    let place = Workplace::new(PROGRAM);
    for (arguments, steps) in [
        ("--days 10 --step 3", 4),
        ("--days 10 --step 2.5", 4),
        ("--days -10 --step 3", 4),
        ("--days 0.5", 1),
        ("--days 2", 2),
        ("--years 1", 366),
        ("--years -50 --step 25", 731),
        ("--days 10 --step 3 --samples 2", 4),
        ("--days 10 --step 3 --samples 4", 4),
        ("--days 10 --step 3 --samples 5", 5),
    ] {
        let fixed = "--integrator leapfrog --asteroids 0";
        let report: Report = place.report(&format!("{arguments} {fixed}"));
        assert_eq!(report.steps, steps, "{arguments}");
    }
    let three = run(&place, "--days 10 --step 3 --asteroids 0");
    assert_eq!(three.1, run(&place, "--days 10 --step 2.5 --asteroids 0").1);
}

#[test]
fn a_negative_time_goes_back() {
    let place = Workplace::new(PROGRAM);
    let start = start_without(&["earth", "moon"]);
    let along = |days: &str| -> Vec<f64> {
        let (_, end) = run(&place, &format!("--days {days} --asteroids 0 --bodies emb"));
        let moved = end.iter().zip(&start).map(|(end, start)| {
            (0..3).map(|c| (end.position()[c] - start.position()[c]) * start.velocity()[c]).sum()
        });
        moved.collect()
    };
    assert!(along("2").iter().all(|way| *way > 0.0));
    assert!(along("-2").iter().all(|way| *way < 0.0));
}

#[test]
fn samples_are_at_equal_times_and_are_landed_on() {
    let place = Workplace::new(PROGRAM);
    let read = || -> Array3<f64> { ndarray_npy::read_npy(place.path("places.npy")).unwrap() };
    for method in ["--integrator ias15", "--integrator dop853", "--step 1"] {
        let run_for = |days: i32, samples: i32| {
            let arguments = format!("--days {days} --samples {samples} --asteroids 0 {method}");
            run(&place, &format!("{arguments} --output places.npy --energy energy.csv")).1
        };
        let last = run_for(-30, 3);
        let whole = read();
        assert_eq!(whole.dim(), (4, 11, 3));
        for (i, body) in last.iter().enumerate() {
            assert_eq!(whole.slice(ndarray::s![3, i, ..]).to_vec(), body.position());
        }
        let text = String::from_utf8(place.read("energy.csv")).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[..2], ["t_d,energy_error", "0.0,0.0"]);
        for (line, days) in lines[1..].iter().zip(["0.0", "-10.0", "-20.0", "-30.0"]) {
            let (time, error) = line.split_once(',').unwrap();
            assert_eq!(time, days);
            assert!(error.parse::<f64>().unwrap() < 1e-13, "{line}");
        }
        assert_eq!(lines.len(), 5);
        for (i, body) in run_for(-20, 2).iter().enumerate() {
            for c in 0..3 {
                assert!((whole[[2, i, c]] - body.position()[c]).abs() < 1e-14);
            }
        }
    }
}

#[test]
fn a_plain_run_meets_the_ephemeris_it_starts_from() {
    #[derive(Deserialize)]
    struct Row {
        epoch_yr: f64,
    }
    let place = Workplace::new(PROGRAM);
    for (ephemeris, truth) in [
        ("de421", include_str!("../../../crates/sims/tests/data/de421_truth.csv")),
        ("de440", include_str!("../../../crates/sims/tests/data/de440_truth.csv")),
    ] {
        let years: Vec<Row> = csv::Reader::from_reader(truth.as_bytes())
            .into_deserialize()
            .map(Result::unwrap)
            .collect();
        let (_, found) = run(&place, &format!("--asteroids 0 --ephemeris {ephemeris}"));
        let at_end = years.iter().zip(table(truth)).filter(|(row, _)| row.epoch_yr == 1.0);
        let at_end: Vec<Body> = at_end.map(|(_, body)| body).collect();
        let place = |bodies: &[Body], name: &str| {
            let of = |name: &str| bodies.iter().find(|body| body.name == name).unwrap().position();
            let (body, sun) = (of(name), of("sun"));
            [body[0] - sun[0], body[1] - sun[1], body[2] - sun[2]]
        };
        for (name, km) in [
            ("mercury", 0.07),
            ("venus", 0.03),
            ("earth", 0.25),
            ("moon", 21.0),
            ("mars", 0.07),
            ("jupiter", 0.18),
            ("saturn", 0.24),
            ("uranus", 0.26),
            ("neptune", 0.26),
            ("pluto", 0.27),
        ] {
            let (ours, true_place) = (place(&found, name), place(&at_end, name));
            let square: f64 = (0..3).map(|c| (ours[c] - true_place[c]).powi(2)).sum();
            let off = square.sqrt() * 149_597_870.7;
            assert!(off < 2.0 * km, "{ephemeris}: {name} is {off} km off");
        }
    }
}
