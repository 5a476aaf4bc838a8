//! The messages of the program, and the files that it leaves.

use std::io::pipe;

use app_testing::Workplace;
use serde::Deserialize;
use sims::nbody::{Bodies, Ephemeris, System, belt};

const PROGRAM: &str = env!("CARGO_BIN_EXE_solar-system");

/// The JSON object; it must have exactly these keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    backend: String,
    workers: usize,
    workers_lost: u64,
    retries: u64,
    bodies: usize,
    steps: usize,
    integrator: String,
    gravity: String,
    ephemeris: String,
    evaluations: u64,
    inline: bool,
    energy_error: f64,
    seconds: f64,
    interactions_per_second: f64,
    checksum: String,
}

#[test]
fn every_pool_with_any_number_of_workers_computes_the_same_bits() {
    let place = Workplace::new(PROGRAM);
    for (run, bodies) in [
        ("--days 40 --asteroids 0", 11),
        ("--days -20 --asteroids 0 --bodies earth-moon --integrator yoshida4", 11),
        ("--days 5 --asteroids 1 --ephemeris de440 --integrator dop853", 12),
        ("--days 5 --asteroids 333 --seed 4 --bodies earth-moon --step 1", 344),
        ("--days 2 --asteroids 590 --integrator leapfrog", 600),
        ("--days 2 --asteroids 590 --integrator hermite4", 600),
        ("--days 2 --asteroids 590", 601),
    ] {
        let first: Report = place.report(&format!("{run} --backend mono --workers 1"));
        assert_eq!(first.bodies, bodies);
        for backend in ["mono", "process", "rayon"] {
            for workers in [1, 2, 3, 7] {
                let retries = workers - 1;
                let pool = format!("--backend {backend} --workers {workers} --retries {retries}");
                let report: Report = place.report(&format!("{run} {pool}"));
                assert_eq!((report.backend.as_str(), report.workers), (backend, workers));
                assert_eq!((report.workers_lost, report.retries), (0, 0), "{run} {pool}");
                assert_eq!(report.checksum, first.checksum, "{run} {pool}");
                assert_eq!(report.energy_error, first.energy_error, "{run} {pool}");
            }
        }
    }
}

/// The bodies of the file `state.csv`, with the names and masses of `start`.
fn final_state(place: &Workplace, start: &System) -> System {
    let text = place.read("state.csv");
    let mut end = start.clone();
    for (i, row) in csv::Reader::from_reader(&text[..]).into_records().enumerate() {
        let row = row.unwrap();
        let number = |column: usize| row[column].parse::<f64>().unwrap();
        for c in 0..3 {
            end.positions[[i, c]] = number(1 + c);
            end.velocities[[i, c]] = number(4 + c);
        }
    }
    end
}

#[test]
fn numbers_that_follow_from_others_agree_with_them() {
    let place = Workplace::new(PROGRAM);
    for (integrator, evaluations, bound) in
        [("leapfrog", 101, 3e-6), ("yoshida4", 300, 3e-7), ("hermite4", 101, 3e-6)]
    {
        let planets = Ephemeris::De421.initial_conditions(Bodies::Emb);
        let asteroids = belt::asteroid_belt(20, 1, &planets.body(0));
        let start = planets.join(&asteroids);
        let run = format!("--days 100 --asteroids 20 --integrator {integrator}");
        let report: Report = place.report(&format!("{run} --final-state state.csv"));
        assert_eq!((report.integrator.as_str(), report.steps), (integrator, 100));
        let (before, after) = (start.total_energy(), final_state(&place, &start).total_energy());
        let energy_error = ((after - before) / before).abs();
        assert!((report.energy_error / energy_error - 1.0).abs() < 1e-12, "{report:?}");
        assert!(report.energy_error < bound, "{report:?}");
        let told = (report.evaluations, report.gravity.as_str(), report.ephemeris.as_str());
        assert_eq!(told, (evaluations, "newton", "de421"));
        assert!(report.inline);
        let interactions = (30 * 30 * evaluations) as f64;
        let counted = report.interactions_per_second * report.seconds;
        assert!(report.seconds > 0.0 && (counted / interactions - 1.0).abs() < 1e-12, "{report:?}");
    }
}

fn assert_png(bytes: &[u8]) {
    assert!(
        bytes.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") && bytes.ends_with(b"IEND\xaeB`\x82")
    );
}

#[test]
fn a_plain_run_prints_a_summary_and_leaves_its_picture() {
    let place = Workplace::new(PROGRAM);
    let ended = place.run("--days 30 --asteroids 20 --workers 2");
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let report: Report = place.report("--days 30 --asteroids 20");
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines[0], "bodies:         31, from de421");
    assert_eq!(lines[1], "gravity:        1pn");
    assert_eq!(lines[2], "pool:           process, 2 workers; so few bodies are computed in line");
    let steps = format!("steps:          {} by ias15 in ", report.steps);
    assert!(lines[3].starts_with(&steps), "{}", lines[3]);
    assert_eq!(lines[4], format!("energy:         kept to {:.1e} of itself", report.energy_error));
    assert_eq!(lines[5], format!("checksum:       {}", report.checksum));
    assert_eq!(lines[6..], ["written:        solar-system.png"]);
    assert_eq!(place.files().into_keys().collect::<Vec<_>>(), ["solar-system.png"]);
    assert_png(&place.read("solar-system.png"));
}

#[test]
fn files_that_are_asked_for_are_written_and_no_others() {
    let run = "--days 3 --asteroids 2 --quiet";
    for (options, names) in [
        ("--final-state a.csv", vec!["a.csv"]),
        ("--output b.npy", vec!["b.npy"]),
        ("--energy e.csv", vec!["e.csv"]),
        ("--final-state a.csv --output b.npy --image c.png", vec!["a.csv", "b.npy", "c.png"]),
        ("", vec![]),
    ] {
        let place = Workplace::new(PROGRAM);
        let ended = place.run(&format!("{run} {options}"));
        assert_eq!((ended.code, ended.out, ended.err), (Some(0), String::new(), String::new()));
        assert_eq!(place.files().into_keys().collect::<Vec<_>>(), names);
        if names.contains(&"c.png") {
            assert_png(&place.read("c.png"));
        }
    }
    let place = Workplace::new(PROGRAM);
    let told = place.run("--days 3 --asteroids 2 --final-state a.csv");
    assert!(told.out.ends_with("\nwritten:        a.csv\n"), "{}", told.out);
    assert_eq!(place.files().into_keys().collect::<Vec<_>>(), ["a.csv"]);
}

#[test]
fn json_leaves_no_picture_that_nobody_asked_for() {
    let place = Workplace::new(PROGRAM);
    let _: Report = place.report("--days 3 --asteroids 2");
    assert!(place.files().is_empty());
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    for output in ["--output a.npy", "--output a.npy --json", "--help"] {
        let place = Workplace::new(PROGRAM);
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = place.end(place.start_to(&format!("--days 3 --asteroids 2 {output}"), writer));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{output}");
        assert_eq!(place.path("a.npy").exists(), output != "--help");
    }
}
