//! What the program computes, prints and writes.

use std::io::pipe;

use app_testing::Workplace;
use ndarray::{Array2, s};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sims::plate::{Plate, exact};

const PROGRAM: &str = env!("CARGO_BIN_EXE_heated-plate");
const ITERATES: &str = include_str!("../../../crates/sims/tests/data/jacobi_iterates_public.csv");

/// The JSON object: these keys and no others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    backend: String,
    workers: usize,
    workers_lost: u64,
    retries: u64,
    nx: usize,
    ny: usize,
    sweeps: usize,
    last_update_linf: f64,
    last_update_l2: f64,
    error_bound: f64,
    seconds: f64,
    mlups: f64,
    checksum: String,
}

#[derive(Deserialize)]
struct Iterate {
    nx_interior: usize,
    ny_interior: usize,
    sweeps: usize,
    i: usize,
    j: usize,
    #[serde(rename = "T")]
    temperature: f64,
    last_update_linf: f64,
    last_update_l2: f64,
}

fn relative(a: f64, b: f64) -> f64 {
    (a / b - 1.0).abs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The temperatures in the file `name`, and the SHA-256 of the bytes that they are.
fn temperatures(place: &Workplace, name: &str) -> (Array2<f64>, String) {
    let array: Array2<f64> = ndarray_npy::read_npy(place.path(name)).unwrap();
    let file = place.read(name);
    let (header, data) = file.split_at(file.len() - 8 * array.len());
    let header = String::from_utf8_lossy(header);
    assert!(header.contains("'<f8'") && header.contains("'fortran_order': False"), "{header}");
    (array, hex(&Sha256::digest(data)))
}

#[test]
fn temperatures_and_norms_are_those_of_extended_precision() {
    let place = Workplace::new(PROGRAM);
    let rows: Vec<Iterate> = csv::Reader::from_reader(ITERATES.as_bytes())
        .into_deserialize()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 12);
    for points in rows.chunk_by(|a, b| a.sweeps == b.sweeps) {
        let Iterate { nx_interior: nx, ny_interior: ny, sweeps, .. } = points[0];
        let size = format!("--nx {nx} --ny {ny} --sweeps {sweeps}");
        let report: Report = place.report(&format!("{size} --output plate.npy"));
        assert_eq!((report.nx, report.ny, report.sweeps), (nx, ny, sweeps));
        let (found, checksum) = temperatures(&place, "plate.npy");
        assert_eq!(found.dim(), (ny + 2, nx + 2));
        assert_eq!(report.checksum, checksum);
        for point in points {
            assert!((found[[point.j, point.i]] - point.temperature).abs() < 1e-11);
            assert!(relative(report.last_update_linf, point.last_update_linf) < 1e-9);
            assert!(relative(report.last_update_l2, point.last_update_l2) < 1e-9);
        }
    }
}

#[test]
fn every_pool_with_any_number_of_workers_computes_the_same_bits() {
    let place = Workplace::new(PROGRAM);
    for size in ["--size 1", "--nx 1 --ny 9", "--nx 9 --ny 1", "--nx 37 --ny 23", "--nx 6 --ny 70"]
    {
        let run = format!("{size} --sweeps 40 --left -3.5 --right 12");
        let first: Report =
            place.report(&format!("{run} --backend mono --workers 1 --output plate.npy"));
        assert_eq!(first.checksum, temperatures(&place, "plate.npy").1);
        for backend in ["mono", "process", "rayon"] {
            for workers in [1, 2, 3, 7] {
                let retries = workers - 1;
                let pool = format!("--backend {backend} --workers {workers} --retries {retries}");
                let report: Report = place.report(&format!("{run} {pool}"));
                assert_eq!((report.backend.as_str(), report.workers), (backend, workers));
                assert_eq!((report.workers_lost, report.retries), (0, 0), "{run} {pool}");
                assert_eq!(report.checksum, first.checksum, "{size} {pool}");
                assert_eq!(report.last_update_linf, first.last_update_linf, "{size} {pool}");
                assert_eq!(report.last_update_l2, first.last_update_l2, "{size} {pool}");
                assert_eq!(report.error_bound, first.error_bound, "{size} {pool}");
            }
        }
    }
}

#[test]
fn sides_are_where_their_options_say() {
    let place = Workplace::new(PROGRAM);
    let sides = "--top -40 --bottom 2.5 --left 3 --right 1e2";
    let report: Report = place.report(&format!("--nx 5 --ny 3 {sides} --sweeps 3 --output p.npy"));
    assert_eq!((report.nx, report.ny), (5, 3));
    let (found, _) = temperatures(&place, "p.npy");
    assert_eq!(found.dim(), (5, 7));
    assert!(found.slice(s![4, 1..6]).iter().all(|t| *t == -40.0));
    assert!(found.slice(s![0, 1..6]).iter().all(|t| *t == 2.5));
    assert!(found.slice(s![1..4, 0]).iter().all(|t| *t == 3.0));
    assert!(found.slice(s![1..4, 6]).iter().all(|t| *t == 100.0));
    // Nothing else is said: the last row is hot.
    let _: Report = place.report("--nx 2 --ny 1 --sweeps 1 --output default.npy");
    let (found, _) = temperatures(&place, "default.npy");
    assert_eq!(found.slice(s![.., 1..3]), ndarray::array![[0.0; 2], [25.0; 2], [100.0; 2]]);
}

#[test]
fn the_bound_on_the_error_is_kept_and_is_the_reason_to_stop() {
    let place = Workplace::new(PROGRAM);
    let plate = Plate { nx: 17, ny: 9, top: 100.0, bottom: 0.0, left: -20.0, right: 15.5 };
    let run = "--nx 17 --ny 9 --left -20 --right 15.5";
    for tolerance in [3.0, 0.01, 1e-7] {
        let report: Report =
            place.report(&format!("{run} --tolerance {tolerance} --output plate.npy"));
        assert!(report.error_bound < tolerance);
        let (found, _) = temperatures(&place, "plate.npy");
        let errors = found.indexed_iter().filter_map(|((j, i), t)| {
            let inside = (1..=plate.ny).contains(&j) && (1..=plate.nx).contains(&i);
            inside.then(|| (t - exact::temperature(&plate, i, j)).abs())
        });
        let worst = errors.fold(0.0, f64::max);
        assert!(0.0 < worst && worst < report.error_bound, "{worst:e} {report:?}");
        let before: Report = place.report(&format!("{run} --sweeps {}", report.sweeps - 1));
        assert!(before.error_bound >= tolerance, "{before:?}");
    }
}

#[test]
fn numbers_that_follow_from_others_agree_with_them() {
    let place = Workplace::new(PROGRAM);
    for (nx, ny) in [(40, 25), (3, 50), (1, 2)] {
        let report: Report = place.report(&format!("--nx {nx} --ny {ny} --sweeps 9"));
        let cosine = |n: usize| (std::f64::consts::PI / (n as f64 + 1.0)).cos();
        let rho = (cosine(nx) + cosine(ny)) / 2.0;
        let bound = report.last_update_l2 * rho / (1.0 - rho);
        assert!(relative(report.error_bound, bound) < 1e-12, "{report:?}");
        assert!(report.seconds > 0.0);
        let updates = (nx * ny * report.sweeps) as f64;
        assert!(relative(report.mlups, updates / report.seconds / 1e6) < 1e-12, "{report:?}");
        assert!(0.0 < report.last_update_linf && report.last_update_linf <= report.last_update_l2);
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
    let ended = place.run("--size 8 --sweeps 20 --workers 1");
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    let report: Report = place.report("--size 8 --sweeps 20");
    let lines: Vec<_> = ended.out.lines().collect();
    assert_eq!(lines[0], "plate:          8 x 8 cells");
    assert_eq!(lines[1], "pool:           process, 1 worker");
    assert!(lines[2].starts_with("sweeps:         20 in "), "{}", lines[2]);
    let [linf, bound] = [report.last_update_linf, report.error_bound];
    assert_eq!(lines[3], format!("last change:    {linf:.2e} K at most in a cell"));
    assert_eq!(lines[4], format!("error:          below {bound:.2e} K everywhere"));
    assert_eq!(lines[5], format!("checksum:       {}", report.checksum));
    assert_eq!(lines[6..], ["written:        heated-plate.png"]);
    assert_eq!(place.files().into_keys().collect::<Vec<_>>(), ["heated-plate.png"]);
    assert_png(&place.read("heated-plate.png"));
}

#[test]
fn files_that_are_asked_for_are_written_and_no_others() {
    let place = Workplace::new(PROGRAM);
    let both = place.run("--size 8 --sweeps 2 --quiet --output a.npy --image b.png");
    assert_eq!((both.code, both.out, both.err), (Some(0), String::new(), String::new()));
    assert_eq!(place.files().into_keys().collect::<Vec<_>>(), ["a.npy", "b.png"]);
    assert_png(&place.read("b.png"));
    let place = Workplace::new(PROGRAM);
    assert_eq!(place.run("--size 8 --sweeps 2 --output a.npy").code, Some(0));
    assert_eq!(place.files().into_keys().collect::<Vec<_>>(), ["a.npy"]);
}

#[test]
fn quiet_prints_nothing_and_json_nothing_else() {
    let place = Workplace::new(PROGRAM);
    let quiet = place.run("--size 8 --sweeps 2 --quiet");
    assert_eq!((quiet.code, quiet.out, quiet.err), (Some(0), String::new(), String::new()));
    let _: Report = place.report("--size 8 --sweeps 2 --quiet");
    assert!(place.files().is_empty());
}

#[test]
fn a_reader_that_went_away_is_no_failure() {
    for output in ["--output a.npy", "--output a.npy --json", "--help"] {
        let place = Workplace::new(PROGRAM);
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let ended = place.end(place.start_to(&format!("--size 8 --sweeps 2 {output}"), writer));
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{output}");
        assert_eq!(place.path("a.npy").exists(), output != "--help");
    }
}
