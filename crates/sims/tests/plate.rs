//! Sweeps of whole plates compared with 80-bit arithmetic, with the closed form, and with the bound
//! on their error.

use ndarray::{Array2, s};
use serde::Deserialize;
use sims::plate::{Plate, Update, exact, laplacian, norms};

const ITERATES: &str = include_str!("data/jacobi_iterates_public.csv");
const STEADY: &str = include_str!("data/laplace_discrete_public.csv");

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

#[derive(Deserialize)]
struct Steady {
    nx_interior: usize,
    ny_interior: usize,
    i: usize,
    j: usize,
    #[serde(rename = "T_steady")]
    temperature: f64,
}

fn rows<T: for<'de> Deserialize<'de>>(table: &str) -> Vec<T> {
    csv::Reader::from_reader(table.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()
        .expect("the reference is well-formed")
}

fn hot_top(nx: usize, ny: usize) -> Plate {
    Plate { nx, ny, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 }
}

/// The temperatures after at least one sweep, and the last update.
fn sweep(plate: &Plate, sweeps: usize) -> (Array2<f64>, Update) {
    let (mut old, mut new) = (plate.initial(), plate.initial());
    let mut update = Vec::new();
    for _ in 0..sweeps {
        update = laplacian(old.view(), new.slice_mut(s![1..=plate.ny, ..]));
        std::mem::swap(&mut old, &mut new);
    }
    (old, norms(update.into_iter()))
}

fn relative(a: f64, b: f64) -> f64 {
    (a / b - 1.0).abs()
}

#[test]
fn iterates_and_norms_are_those_of_extended_precision() {
    for row in rows::<Iterate>(ITERATES) {
        let (temperatures, update) = sweep(&hot_top(row.nx_interior, row.ny_interior), row.sweeps);
        assert!((temperatures[[row.j, row.i]] - row.temperature).abs() < 1e-11);
        assert!(relative(update.linf, row.last_update_linf) < 1e-9);
        assert!(relative(update.l2, row.last_update_l2) < 1e-9);
    }
}

#[test]
fn the_closed_form_is_the_steady_state() {
    for row in rows::<Steady>(STEADY) {
        let plate = hot_top(row.nx_interior, row.ny_interior);
        let temperature = exact::temperature(&plate, row.i, row.j);
        assert!((temperature - row.temperature).abs() < 1e-11);
    }
}

#[test]
fn the_bound_is_never_below_the_error() {
    let lopsided = Plate { left: -40.0, right: 15.0, ..hot_top(23, 9) };
    for plate in [hot_top(1, 1), hot_top(5, 40), hot_top(31, 31), lopsided] {
        let steady = Array2::from_shape_fn((plate.ny, plate.nx), |(j, i)| {
            exact::temperature(&plate, i + 1, j + 1)
        });
        for sweeps in [1, 2, 10, 100, 1000] {
            let (temperatures, update) = sweep(&plate, sweeps);
            let cells = temperatures.slice(s![1..=plate.ny, 1..=plate.nx]);
            let error = (&cells - &steady).fold(0.0_f64, |worst, e| worst.max(e.abs()));
            // Once the sweeps have converged, both errors are rounding errors.
            let bound = update.l2 * plate.error_factor() + 1e-12;
            assert!(error <= bound, "{plate:?} after {sweeps}: {error:e} > {bound:e}");
        }
    }
}
