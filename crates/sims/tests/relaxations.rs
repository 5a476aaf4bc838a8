//! The relaxations: the same bits on every pool and for any bands and passes, the known convergence
//! rates, fixed cells, and the heat equation compared with the exact solution of its scheme.

farm_process::init_before_main!();

use std::f64::consts::PI;

use farm_core::Farm;
use ndarray::{Array2, s};
use serde::Deserialize;
use sims::SimError;
use sims::plate::heat::{self, add_modes};
use sims::plate::{Mask, Method, Plate, Relaxation, Update, exact, laplacian, norms};

const METHODS: [Method; 4] =
    [Method::Jacobi, Method::Sor, Method::Chebyshev, Method::Heat { ratio: 0.2 }];

fn plate(nx: usize, ny: usize) -> Plate {
    Plate { nx, ny, top: 100.0, bottom: -3.0, left: 7.0, right: 0.5 }
}

/// Temperatures without any symmetry, also inside the plate.
fn rough(plate: &Plate) -> Array2<f64> {
    Array2::from_shape_fn(plate.shape(), |(j, i)| ((7 * i + 13 * j * j) as f64).sin())
}

/// A mask of a tenth of the cells, scattered over the plate.
fn scattered(plate: &Plate) -> Mask {
    let held = Array2::from_shape_fn(plate.shape(), |(j, i)| (31 * i + 17 * j * j) % 10 == 0);
    Mask::new(plate, held.view()).unwrap()
}

/// A plate with rough temperatures before its first sweep.
fn begin(plate: &Plate, method: Method, mask: Option<&Mask>) -> Relaxation {
    Relaxation::with(plate, method, mask, |mut t| t.assign(&rough(plate))).unwrap()
}

/// The bits of the temperatures and of the last update, after one call for each number of sweeps in
/// `calls`; workers do all the sweeps.
fn swept(
    farm: &impl Farm,
    plate: &Plate,
    method: Method,
    mask: Option<&Mask>,
    calls: &[usize],
) -> (Vec<u64>, [u64; 2]) {
    let mut relaxation = begin(plate, method, mask).inline_below(0);
    let mut update = norms([].into_iter());
    for &sweeps in calls {
        update = relaxation.advance(farm, sweeps).unwrap();
    }
    assert!(!relaxation.inline(farm));
    let bits = relaxation.temperatures().iter().map(|t| t.to_bits()).collect();
    (bits, [update.linf, update.l2].map(f64::to_bits))
}

#[test]
fn every_pool_and_any_passes_give_the_same_bits() {
    for workers in [1, 2, 3, 7] {
        let mono = &farm_mono::Pool::builder().workers(1).build().unwrap();
        let rayon = &farm_rayon::Pool::builder().workers(workers).build().unwrap();
        let process = &farm_process::Pool::builder().workers(workers).build().unwrap();
        for (nx, ny) in [(1, 1), (1, 9), (37, 23), (6, 70), (2100, 5)] {
            let plate = plate(nx, ny);
            let mask = scattered(&plate);
            for (method, fixed) in METHODS.into_iter().flat_map(|m| [(m, None), (m, Some(&mask))]) {
                let one_by_one = swept(mono, &plate, method, fixed, &[1; 13]);
                let at_once = swept(mono, &plate, method, fixed, &[13]);
                assert_eq!(at_once, one_by_one, "{method:?} {nx} x {ny}");
                for calls in [&[13][..], &[3, 1, 9]] {
                    for result in [
                        swept(rayon, &plate, method, fixed, calls),
                        swept(process, &plate, method, fixed, calls),
                    ] {
                        assert_eq!(result, one_by_one, "{method:?} {nx} x {ny}, {workers} workers");
                    }
                }
            }
        }
    }
}

#[test]
fn a_wide_plate_goes_through_in_tiles_with_the_bits_of_whole_rows() {
    let mono = &farm_mono::Pool::new().unwrap();
    for nx in [1533, 1534, 2557, 2558, 3100] {
        let plate = plate(nx, 4);
        let mut whole = rough(&plate);
        let mut update = norms([].into_iter());
        for _ in 0..70 {
            let old = whole.clone();
            let rows = laplacian(old.view(), whole.slice_mut(s![1..5, ..]));
            update = norms(rows.into_iter());
        }
        let bits = whole.iter().map(|t| t.to_bits()).collect();
        let norms = [update.linf, update.l2].map(f64::to_bits);
        assert!(swept(mono, &plate, Method::Jacobi, None, &[70]) == (bits, norms), "{nx} columns");
    }
}

#[test]
fn the_caller_sweeps_a_small_plate_with_the_bits_of_the_workers() {
    let farm = &farm_rayon::Pool::builder().workers(3).build().unwrap();
    let plate = plate(37, 23);
    for method in METHODS {
        let mut relaxation = begin(&plate, method, None);
        let update = relaxation.advance(farm, 100).unwrap();
        assert!(relaxation.inline(farm));
        let bits: Vec<u64> = relaxation.temperatures().iter().map(|t| t.to_bits()).collect();
        let of_workers = swept(farm, &plate, method, None, &[60, 40]);
        assert_eq!((bits, [update.linf, update.l2].map(f64::to_bits)), of_workers);
    }
}

/// The largest error and the 2-norm of the error, relative to the exact discrete solution.
fn errors(temperatures: &Array2<f64>, steady: &Array2<f64>) -> (f64, f64) {
    let error = temperatures - steady;
    (error.fold(0.0, |worst, e| worst.max(e.abs())), error.mapv(|e| e * e).sum().sqrt())
}

fn steady(plate: &Plate) -> Array2<f64> {
    let mut steady = plate.initial();
    for j in 1..=plate.ny {
        for i in 1..=plate.nx {
            steady[[j, i]] = exact::temperature(plate, i, j);
        }
    }
    steady
}

/// The temperatures after `sweeps` sweeps of a plate that starts at zero, and the last update.
fn relaxed(plate: &Plate, method: Method, sweeps: usize) -> (Array2<f64>, Update) {
    let farm = farm_mono::Pool::new().unwrap();
    let mut relaxation = Relaxation::new(plate, method).unwrap();
    let update = relaxation.advance(&farm, sweeps).unwrap();
    (relaxation.temperatures().to_owned(), update)
}

#[test]
fn over_relaxation_gains_omega_less_one_a_sweep() {
    let plate = plate(95, 95);
    let steady = steady(&plate);
    let h = PI / 96.0;
    let rate = 2.0 / (1.0 + h.sin()) - 1.0;
    let error = |sweeps| errors(&relaxed(&plate, Method::Sor, sweeps).0, &steady).1;
    // The error belongs to a double root: it falls as m rate^m, which approaches rate^m from above.
    let measured = (error(260) / error(200)).powf(1.0 / 60.0);
    assert!((measured / rate - 1.0).abs() < 0.01, "{measured} {rate}");
    assert!(errors(&relaxed(&plate, Method::Sor, 900).0, &steady).0 < 1e-11);
}

#[test]
fn the_semi_iteration_stays_below_the_bound_of_chebyshev_at_every_sweep() {
    let plate = plate(40, 61);
    let steady = steady(&plate);
    let start = errors(&plate.initial(), &steady).1;
    let arcosh = (1.0 / plate.spectral_radius()).acosh();
    for sweeps in [1, 2, 3, 10, 57, 200, 400] {
        let error = errors(&relaxed(&plate, Method::Chebyshev, sweeps).0, &steady).1;
        let bound = start / (sweeps as f64 * arcosh).cosh();
        assert!(error <= bound + 1e-10, "{sweeps} sweeps: {error:e} > {bound:e}");
        // An error far below the bound would belong to another method.
        assert!(sweeps < 10 || error > 1e-3 * bound, "{sweeps} sweeps: {error:e}, {bound:e}");
    }
    assert!(errors(&relaxed(&plate, Method::Chebyshev, 1500).0, &steady).0 < 1e-11);
}

#[test]
fn fixed_cells_keep_their_temperature_and_the_others_find_their_mean() {
    let plate = plate(21, 33);
    let (mask, start) = (scattered(&plate), rough(&plate));
    let farm = farm_mono::Pool::new().unwrap();
    for method in METHODS {
        let mut relaxation = begin(&plate, method, Some(&mask));
        let update = relaxation.advance(&farm, 3000).unwrap();
        assert!(update.linf < 1e-14, "{method:?}: {update:?}");
        let t = relaxation.temperatures();
        for ((j, i), &cell) in t.indexed_iter() {
            if mask.held()[[j, i]] != 0 {
                assert_eq!(cell, start[[j, i]]);
            } else {
                let sum = t[[j, i - 1]] + t[[j, i + 1]] + t[[j - 1, i]] + t[[j + 1, i]];
                assert!((cell - 0.25 * sum).abs() < 1e-13);
            }
        }
    }
}

#[test]
fn a_nan_shows_in_the_update_of_every_method() {
    let plate = plate(9, 9);
    let mut start = rough(&plate);
    start[[5, 5]] = f64::NAN;
    let farm = farm_mono::Pool::new().unwrap();
    for method in METHODS {
        let mut relaxation =
            Relaxation::with(&plate, method, None, |mut t| t.assign(&start)).unwrap();
        let update = relaxation.advance(&farm, 5).unwrap();
        assert!(update.linf.is_nan() && update.l2.is_nan(), "{method:?}: {update:?}");
    }
}

#[test]
fn no_sweep_changes_nothing() {
    let plate = plate(5, 4);
    let farm = farm_mono::Pool::new().unwrap();
    let mut relaxation = Relaxation::new(&plate, Method::Jacobi).unwrap();
    let update = relaxation.advance(&farm, 0).unwrap();
    assert_eq!(relaxation.temperatures(), plate.initial());
    assert_eq!(update, Update { linf: 0.0, l2: 0.0 });
}

#[test]
fn steps_in_time_that_would_blow_up_are_refused() {
    for ratio in [0.0, -0.1, 0.2500001, 3.0, f64::NAN] {
        let refused = Relaxation::new(&plate(3, 3), Method::Heat { ratio }).unwrap_err();
        assert!(matches!(refused, SimError::Unstable { largest: 0.25, .. }), "{refused}");
    }
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "modes(k:l:c;..)")]
    modes: String,
    n_interior: usize,
    #[serde(rename = "r=alpha*dt/h^2")]
    ratio: f64,
    steps: usize,
    i: usize,
    j: usize,
    #[serde(rename = "T_ftcs_discrete")]
    discrete: f64,
    #[serde(rename = "T_pde_exact")]
    exact: f64,
}

fn mode(text: &str) -> heat::Mode {
    let mut numbers = text.split(':');
    let mut next = || numbers.next().unwrap();
    let (k, l) = (next().parse().unwrap(), next().parse().unwrap());
    heat::Mode { k, l, amplitude: next().parse().unwrap() }
}

#[test]
fn modes_of_the_heat_equation_decay_as_the_scheme_says() {
    let farm = &farm_rayon::Pool::builder().workers(2).build().unwrap();
    let table = include_str!("data/heat_modes_public.csv");
    let rows: Vec<Row> = csv::Reader::from_reader(table.as_bytes())
        .into_deserialize()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let n = row.n_interior;
        let plate = Plate { nx: n, ny: n, top: 0.0, bottom: 0.0, left: 0.0, right: 0.0 };
        let modes: Vec<_> = row.modes.split(';').map(mode).collect();
        let fill = |t: ndarray::ArrayViewMut2<'_, f64>| add_modes(&plate, &modes, t);
        let method = Method::Heat { ratio: row.ratio };
        let mut relaxation = Relaxation::with(&plate, method, None, fill).unwrap().inline_below(0);
        relaxation.advance(farm, row.steps).unwrap();
        let temperature = relaxation.temperatures()[[row.j, row.i]];
        assert!((temperature - row.discrete).abs() < 1e-12);
        assert!((temperature - row.exact).abs() < 1e-3);
    }
}
