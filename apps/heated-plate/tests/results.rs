//! The results of the program, its messages and its files.

use std::io::pipe;

use app_testing::Workplace;
use ndarray::{Array2, s};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use sims::plate::{Plate, exact};

const PROGRAM: &str = env!("CARGO_BIN_EXE_heated-plate");
const MODES: &str = include_str!("../../../crates/sims/tests/data/heat_modes_public.csv");
const ITERATES: &str = include_str!("../../../crates/sims/tests/data/jacobi_iterates_public.csv");

/// The JSON object; it must have exactly these keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    backend: String,
    workers: usize,
    workers_lost: u64,
    retries: u64,
    nx: usize,
    ny: usize,
    method: String,
    sweeps: usize,
    last_update_linf: Option<f64>,
    last_update_l2: Option<f64>,
    error_bound: Option<f64>,
    time: Option<f64>,
    inline: bool,
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

/// The temperatures in the file `name`, and the SHA-256 of their bytes.
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
            assert!(relative(report.last_update_linf.unwrap(), point.last_update_linf) < 1e-9);
            assert!(relative(report.last_update_l2.unwrap(), point.last_update_l2) < 1e-9);
        }
    }
}

#[test]
fn every_pool_with_any_number_of_workers_computes_the_same_bits() {
    let place = Workplace::new(PROGRAM);
    for size in [
        "--size 1",
        "--nx 1 --ny 9",
        "--nx 37 --ny 23",
        "--nx 6 --ny 70",
        "--nx 200 --ny 161",
        "--nx 200 --ny 161 --method sor",
        "--nx 200 --ny 161 --method chebyshev",
        "--nx 200 --ny 161 --method multigrid",
    ] {
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
    // By default the last row is hot.
    let _: Report = place.report("--nx 2 --ny 1 --sweeps 1 --output default.npy");
    let (found, _) = temperatures(&place, "default.npy");
    assert_eq!(found.slice(s![.., 1..3]), ndarray::array![[0.0; 2], [25.0; 2], [100.0; 2]]);
}

/// The largest difference of any cell from the exact steady state of the discrete plate.
fn error(found: &Array2<f64>, plate: &Plate) -> f64 {
    let errors = found.indexed_iter().filter_map(|((j, i), t)| {
        let inside = (1..=plate.ny).contains(&j) && (1..=plate.nx).contains(&i);
        inside.then(|| (t - exact::temperature(plate, i, j)).abs())
    });
    errors.fold(0.0, f64::max)
}

const METHODS: [&str; 4] = ["jacobi", "sor", "chebyshev", "multigrid"];

#[test]
fn every_method_stops_when_no_temperature_is_wrong_by_more_than_the_tolerance() {
    let place = Workplace::new(PROGRAM);
    let plate = Plate { nx: 17, ny: 30, top: 100.0, bottom: 0.0, left: -20.0, right: 15.5 };
    let run = "--nx 17 --ny 30 --left -20 --right 15.5 --output plate.npy";
    for method in METHODS {
        for tolerance in [3.0, 0.01, 1e-7, 1e-10] {
            let report: Report =
                place.report(&format!("{run} --method {method} --tolerance {tolerance}"));
            assert_eq!(report.method, method);
            let (found, _) = temperatures(&place, "plate.npy");
            let (worst, bound) = (error(&found, &plate), report.error_bound.unwrap());
            assert!(worst <= bound && bound <= tolerance, "{worst:e} {report:?}");
            assert!(bound <= 10.0 * worst || bound < 1e-11, "{worst:e} {report:?}");
        }
    }
    let report: Report = place.report("--size 20");
    assert_eq!(report.method, "multigrid");
    assert!(report.error_bound.unwrap() <= 0.001);
}

#[test]
fn the_bound_is_honest_after_any_number_of_sweeps() {
    let place = Workplace::new(PROGRAM);
    let plate = Plate { nx: 40, ny: 13, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
    for method in METHODS {
        for sweeps in [1, 3, 20] {
            let run = format!("--nx 40 --ny 13 --method {method} --sweeps {sweeps}");
            let report: Report = place.report(&format!("{run} --output plate.npy"));
            assert_eq!(report.sweeps, sweeps);
            let (found, _) = temperatures(&place, "plate.npy");
            let (worst, bound) = (error(&found, &plate), report.error_bound.unwrap());
            assert!(worst <= bound, "{worst:e} {report:?}");
            assert!(bound <= 10.0 * worst || bound < 1e-11, "{worst:e} {report:?}");
        }
    }
    let report: Report = place.report("--size 20 --sweeps 2");
    assert_eq!(report.method, "jacobi");
}

#[test]
fn what_a_mask_holds_keeps_its_temperature_and_the_rest_is_steady() {
    let place = Workplace::new(PROGRAM);
    // A warm bar with a gap, and cells at other temperatures.
    let mut held = Array2::from_elem((12, 19), f64::NAN);
    held.slice_mut(s![5, ..15]).fill(60.0);
    (held[[9, 3]], held[[2, 17]]) = (-40.0, 25.0);
    ndarray_npy::write_npy(place.path("mask.npy"), &held).unwrap();
    for method in METHODS {
        let run = format!("--mask mask.npy --method {method} --tolerance 1e-9");
        let report: Report = place.report(&format!("{run} --output plate.npy"));
        assert_eq!((report.nx, report.ny), (19, 12));
        let (found, _) = temperatures(&place, "plate.npy");
        for ((j, i), cell) in held.indexed_iter() {
            let (j, i) = (j + 1, i + 1);
            let mean = 0.25
                * (found[[j, i - 1]] + found[[j, i + 1]] + found[[j - 1, i]] + found[[j + 1, i]]);
            let expected = if cell.is_nan() { mean } else { *cell };
            assert!((found[[j, i]] - expected).abs() < 2e-9, "{method} {j} {i}");
        }
    }
    let turned = place.refusal("--mask mask.npy --nx 12 --ny 19");
    let shapes = "is 19 x 12 cells, and must be 12 x 19, or 14 x 21 with the sides";
    assert_eq!(turned, format!("--mask mask.npy: {shapes} (--nx 12 --ny 19)"));
}

#[test]
fn waves_decay_as_the_scheme_says() {
    #[derive(Deserialize)]
    struct Row {
        #[serde(rename = "modes(k:l:c;..)")]
        modes: String,
        n_interior: usize,
        #[serde(rename = "r=alpha*dt/h^2")]
        ratio: f64,
        steps: usize,
        t: f64,
        i: usize,
        j: usize,
        #[serde(rename = "T_ftcs_discrete")]
        discrete: f64,
        #[serde(rename = "T_pde_exact")]
        exact: f64,
    }
    let place = Workplace::new(PROGRAM);
    let rows: Vec<Row> =
        csv::Reader::from_reader(MODES.as_bytes()).into_deserialize().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let Row { modes, n_interior, ratio, steps, t, .. } = &row;
        let run = format!("--size {n_interior} --initial {modes} --output plate.npy");
        for length in
            [format!("--ratio {ratio} --sweeps {steps}"), format!("--ratio {ratio} --time {t}")]
        {
            let report: Report = place.report(&format!("{run} {length}"));
            assert_eq!((report.sweeps, report.error_bound), (*steps, None), "{length}");
            assert!(relative(report.time.unwrap(), *t) < 1e-14);
            let (found, _) = temperatures(&place, "plate.npy");
            let found = found[[row.j, row.i]];
            assert!((found - row.discrete).abs() < 1e-12 && (found - row.exact).abs() < 1e-3);
        }
    }
}

#[test]
fn numbers_that_follow_from_others_agree_with_them() {
    let place = Workplace::new(PROGRAM);
    for (nx, ny) in [(40, 25), (3, 50), (1, 2)] {
        let report: Report = place.report(&format!("--nx {nx} --ny {ny} --sweeps 9"));
        assert!(report.seconds > 0.0 && report.inline);
        let updates = (nx * ny * report.sweeps) as f64;
        assert!(relative(report.mlups, updates / report.seconds / 1e6) < 1e-12, "{report:?}");
        let [linf, l2] = [report.last_update_linf, report.last_update_l2].map(Option::unwrap);
        assert!(0.0 < linf && linf <= l2);
    }
    let report: Report = place.report("--size 300 --sweeps 2 --workers 2");
    assert!(!report.inline);
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
    assert_eq!(lines[1], "pool:           process, 1 worker, not asked: the plate is small");
    assert!(lines[2].starts_with("jacobi:         20 sweeps in "), "{}", lines[2]);
    let [linf, bound] = [report.last_update_linf, report.error_bound].map(Option::unwrap);
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
