//! Multigrid, masks and the error bound compared with the closed form, with elimination, and
//! between all pools.

farm_process::init_before_main!();

use farm_core::Farm;
use ndarray::{Array2, ArrayView2, s};
use serde::Deserialize;
use sims::plate::{ErrorBound, Mask, Method, Multigrid, Plate, Relaxation, exact, floor};

const STEADY: &str = include_str!("data/laplace_discrete_public.csv");

fn mono() -> farm_mono::Pool {
    farm_mono::Pool::new().unwrap()
}

fn lopsided(nx: usize, ny: usize) -> Plate {
    Plate { nx, ny, top: 100.0, bottom: -7.0, left: 30.0, right: 0.0 }
}

fn cells<'a>(plate: &Plate, temperatures: ArrayView2<'a, f64>) -> ArrayView2<'a, f64> {
    temperatures.slice_move(s![1..=plate.ny, 1..=plate.nx])
}

fn steady(plate: &Plate) -> Array2<f64> {
    Array2::from_shape_fn((plate.ny, plate.nx), |(j, i)| exact::temperature(plate, i + 1, j + 1))
}

fn distance(a: ArrayView2<'_, f64>, b: &Array2<f64>) -> f64 {
    (&a - b).fold(0.0_f64, |worst, e| worst.max(e.abs()))
}

/// The 2-norm of the residual in the free cells.
fn residual(temperatures: ArrayView2<'_, f64>, mask: Option<&Mask>) -> f64 {
    let (rows, columns) = temperatures.dim();
    let t = |j: usize, i: usize| temperatures[[j, i]];
    let mut sum = 0.0;
    for j in 1..rows - 1 {
        for i in 1..columns - 1 {
            if mask.is_none_or(|mask| mask.held()[[j, i]] == 0) {
                let r = t(j, i - 1) + t(j, i + 1) + t(j - 1, i) + t(j + 1, i) - 4.0 * t(j, i);
                sum += r * r;
            }
        }
    }
    sum.sqrt()
}

/// A pseudo-random number between 0 and 1 for each cell.
fn noise(i: usize, j: usize) -> f64 {
    let mut x = (i as u64) << 32 | j as u64;
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

type Shape = (&'static str, fn(usize, usize, usize) -> bool);

/// The held cells of a plate of n x n cells, as a function of column and row.
const SHAPES: [Shape; 12] = [
    ("none", |_, _, _| false),
    ("all", |_, _, _| true),
    ("one", |n, i, j| (i, j) == (n / 2, n / 3)),
    ("wall", |n, i, j| i == n / 2 + 1 && j < 3 * n / 4),
    ("slanted wall", |n, i, j| i == j && j + 3 < n),
    ("comb", |n, i, j| i % 7 == 3 && j < 3 * n / 4),
    ("serpentine", |_, i, j| i % 16 == 5 && (j + i / 16 % 2 * 9) % 29 != 0),
    ("chessboard", |_, i, j| (i + j) % 2 == 0),
    ("lattice", |_, i, j| i % 17 == 1 && j % 17 == 0),
    ("scattered", |_, i, j| noise(i, j) < 0.01),
    ("porous", |_, i, j| noise(i, j) < 0.4),
    ("spiral", |n, i, j| {
        let (x, y) = (i as f64 - 0.5 * n as f64, j as f64 - 0.5 * n as f64);
        (x.hypot(y) - 20.0 * y.atan2(x) / std::f64::consts::TAU).rem_euclid(20.0) < 1.5
    }),
];

fn mask(plate: &Plate, shape: Shape) -> Mask {
    let n = plate.nx.max(plate.ny);
    let held = Array2::from_shape_fn((plate.ny, plate.nx), |(j, i)| shape.1(n, i + 1, j + 1));
    Mask::new(plate, held.view()).unwrap()
}

/// Fills a plate whose held cells have temperatures of their own.
fn fill(plate: &Plate, mask: &Mask, mut temperatures: ndarray::ArrayViewMut2<'_, f64>) {
    plate.fill_sides(temperatures.view_mut());
    for j in 1..=plate.ny {
        for i in 1..=plate.nx {
            if mask.held()[[j, i]] != 0 {
                temperatures[[j, i]] = 80.0 * noise(j, i);
            }
        }
    }
}

/// The steady state by Gaussian elimination.
fn eliminate(plate: &Plate, mask: &Mask) -> Array2<f64> {
    let mut temperatures = Array2::zeros(plate.shape());
    fill(plate, mask, temperatures.view_mut());
    let n = plate.nx * plate.ny;
    let at = |j: usize, i: usize| (j - 1) * plate.nx + i - 1;
    let mut a = Array2::<f64>::zeros((n, n + 1));
    for j in 1..=plate.ny {
        for i in 1..=plate.nx {
            let row = at(j, i);
            if mask.held()[[j, i]] != 0 {
                a[[row, row]] = 1.0;
                a[[row, n]] = temperatures[[j, i]];
                continue;
            }
            a[[row, row]] = 4.0;
            for (j, i) in [(j, i - 1), (j, i + 1), (j - 1, i), (j + 1, i)] {
                if (1..=plate.ny).contains(&j) && (1..=plate.nx).contains(&i) {
                    a[[row, at(j, i)]] -= 1.0;
                } else {
                    a[[row, n]] += temperatures[[j, i]];
                }
            }
        }
    }
    // The rows are diagonally dominant, so no pivoting is needed.
    for k in 0..n {
        for row in k + 1..n.min(k + plate.nx + 1) {
            let factor = a[[row, k]] / a[[k, k]];
            if factor != 0.0 {
                for column in k..n.min(k + plate.nx + 1) {
                    a[[row, column]] -= factor * a[[k, column]];
                }
                a[[row, n]] -= factor * a[[k, n]];
            }
        }
    }
    let mut x = vec![0.0; n];
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n.min(k + plate.nx + 1)).map(|c| a[[k, c]] * x[c]).sum();
        x[k] = (a[[k, n]] - known) / a[[k, k]];
    }
    Array2::from_shape_vec((plate.ny, plate.nx), x).unwrap()
}

#[test]
fn the_reference_is_met() {
    #[derive(Deserialize)]
    struct Steady {
        nx_interior: usize,
        ny_interior: usize,
        i: usize,
        j: usize,
        #[serde(rename = "T_steady")]
        temperature: f64,
    }
    for row in csv::Reader::from_reader(STEADY.as_bytes()).into_deserialize::<Steady>() {
        let row = row.unwrap();
        let plate = Plate { bottom: 0.0, left: 0.0, ..lopsided(row.nx_interior, row.ny_interior) };
        let mut multigrid = Multigrid::new(&plate).unwrap();
        multigrid.advance(&mono(), 12).unwrap();
        let temperature = multigrid.temperatures()[[row.j, row.i]];
        assert!((temperature - row.temperature).abs() < 1e-11, "{plate:?}");
    }
}

#[test]
fn every_plate_up_to_40_by_40_converges_at_least_tenfold_a_cycle() {
    for nx in 1..=40 {
        for ny in 1..=40 {
            let plate = lopsided(nx, ny);
            let mut multigrid = Multigrid::new(&plate).unwrap();
            let mut before = residual(multigrid.temperatures(), None);
            for _ in 0..6 {
                multigrid.advance(&mono(), 1).unwrap();
                let after = residual(multigrid.temperatures(), None);
                assert!(after <= 0.1 * before + 1e-11, "{nx} x {ny}: {before:e} to {after:e}");
                before = after;
            }
            let (i, j) = (nx.div_ceil(2), ny);
            let error = multigrid.temperatures()[[j, i]] - exact::temperature(&plate, i, j);
            assert!(error.abs() < 1e-4);
        }
    }
}

#[test]
fn large_and_unequal_plates_converge_at_least_tenfold_a_cycle() {
    for (nx, ny) in [(97, 97), (150, 150), (255, 255), (256, 255), (1000, 7), (3, 2000), (1, 999)] {
        let mut multigrid = Multigrid::new(&lopsided(nx, ny)).unwrap();
        let start = residual(multigrid.temperatures(), None);
        multigrid.advance(&mono(), 8).unwrap();
        let end = residual(multigrid.temperatures(), None);
        assert!(end < 1e-8 * start, "{nx} x {ny}: {:e}", end / start);
    }
}

#[test]
fn every_mask_converges_to_what_elimination_gives() {
    for shape in SHAPES {
        for (nx, ny) in [(1, 1), (2, 9), (20, 17), (13, 32), (31, 31)] {
            let plate = lopsided(nx, ny);
            let mask = mask(&plate, shape);
            let exact = eliminate(&plate, &mask);
            let mut multigrid =
                Multigrid::with(&plate, Some(&mask), |t| fill(&plate, &mask, t)).unwrap();
            multigrid.advance(&mono(), 20).unwrap();
            let error = distance(cells(&plate, multigrid.temperatures()), &exact);
            assert!(error < 1e-10, "{} {nx} x {ny}: {error:e}", shape.0);
        }
    }
}

#[test]
fn large_masks_converge_at_least_twofold_a_cycle() {
    for shape in SHAPES {
        let plate = lopsided(255, 200);
        let mask = mask(&plate, shape);
        let mut multigrid =
            Multigrid::with(&plate, Some(&mask), |t| fill(&plate, &mask, t)).unwrap();
        let start = residual(multigrid.temperatures(), Some(&mask));
        multigrid.advance(&mono(), 20).unwrap();
        let end = residual(multigrid.temperatures(), Some(&mask));
        assert!(end <= 1e-6 * start, "{}: {:e}", shape.0, end / start);
    }
}

#[test]
fn the_bound_is_at_least_the_error_and_at_most_three_times_that_for_every_method() {
    let methods = [Method::Jacobi, Method::Sor, Method::Chebyshev];
    for (nx, ny) in [(1, 1), (2, 2), (5, 40), (31, 31), (64, 23), (90, 90)] {
        let plate = lopsided(nx, ny);
        let steady = steady(&plate);
        let rounding = floor(100.0);
        let check = |bound: f64, temperatures: ArrayView2<'_, f64>, what: &str| {
            let error = distance(cells(&plate, temperatures), &steady);
            assert!(error <= bound, "{what} {nx} x {ny}: {error:e} > {bound:e}");
            assert!(bound <= 3.0 * error + rounding, "{what} {nx} x {ny}: {error:e} << {bound:e}");
        };
        for method in methods {
            let mut relaxation = Relaxation::new(&plate, method).unwrap();
            let mut bound = ErrorBound::new(&plate, None).unwrap();
            for sweeps in [0, 1, 2, 5, 20, 100, 400, 2000] {
                relaxation.advance(&mono(), sweeps).unwrap();
                let temperatures = relaxation.temperatures();
                check(
                    bound.of(&mono(), temperatures).unwrap(),
                    temperatures,
                    &format!("{method:?}"),
                );
            }
        }
        for cycles in 0..12 {
            let mut multigrid = Multigrid::new(&plate).unwrap();
            multigrid.advance(&mono(), cycles).unwrap();
            check(multigrid.error_bound(&mono()).unwrap(), multigrid.temperatures(), "multigrid");
        }
    }
}

#[test]
fn the_bound_is_at_least_the_error_and_at_most_three_times_that_for_every_mask() {
    for shape in SHAPES {
        let plate = lopsided(29, 33);
        let mask = mask(&plate, shape);
        let exact = eliminate(&plate, &mask);
        let mut relaxation =
            Relaxation::with(&plate, Method::Sor, Some(&mask), |t| fill(&plate, &mask, t)).unwrap();
        let mut bound = ErrorBound::new(&plate, Some(&mask)).unwrap();
        for sweeps in [0, 1, 3, 10, 30, 100, 400] {
            relaxation.advance(&mono(), sweeps).unwrap();
            let bound = bound.of(&mono(), relaxation.temperatures()).unwrap();
            let error = distance(cells(&plate, relaxation.temperatures()), &exact);
            assert!(error <= bound, "{} after {sweeps}: {error:e} > {bound:e}", shape.0);
            let most = 3.0 * error + floor(100.0);
            assert!(bound <= most, "{} after {sweeps}: {error:e} << {bound:e}", shape.0);
        }
    }
}

#[test]
fn the_bound_comes_down_to_the_floor_whatever_the_size() {
    for (nx, ny) in [(1, 1), (7, 300), (127, 127), (300, 310)] {
        let plate = lopsided(nx, ny);
        for shape in SHAPES {
            let mask = mask(&plate, shape);
            let mut multigrid =
                Multigrid::with(&plate, Some(&mask), |t| fill(&plate, &mask, t)).unwrap();
            let mut bound = f64::INFINITY;
            for _ in 0..12 {
                multigrid.advance(&mono(), 3).unwrap();
                bound = multigrid.error_bound(&mono()).unwrap();
                if bound <= floor(100.0) {
                    break;
                }
            }
            assert!(bound <= floor(100.0), "{} {nx} x {ny}: {bound:e}", shape.0);
        }
    }
}

#[test]
fn the_bound_of_what_is_no_number_is_none() {
    let plate = lopsided(20, 30);
    let mut temperatures = plate.initial();
    let mut bound = ErrorBound::new(&plate, None).unwrap();
    for bad in [f64::NAN, f64::INFINITY] {
        temperatures[[4, 5]] = bad;
        assert!(bound.of(&mono(), temperatures.view()).unwrap().is_nan());
    }
    temperatures[[4, 5]] = 0.0;
    assert!(bound.of(&mono(), temperatures.view()).unwrap() < 200.0);
}

#[test]
fn every_pool_gives_the_same_bits() {
    fn run(farm: &impl Farm, plate: &Plate, mask: &Mask) -> (Vec<u64>, u64) {
        let mut multigrid = Multigrid::with(plate, Some(mask), |t| fill(plate, mask, t)).unwrap();
        multigrid.advance(farm, 2).unwrap();
        let bound = multigrid.error_bound(farm).unwrap();
        multigrid.advance(farm, 2).unwrap();
        (multigrid.temperatures().iter().map(|t| t.to_bits()).collect(), bound.to_bits())
    }
    for (nx, ny) in [(600, 451), (30_001, 9), (5, 60_000), (62, 62)] {
        let plate = lopsided(nx, ny);
        for shape in [SHAPES[0], SHAPES[3], SHAPES[9]] {
            let mask = mask(&plate, shape);
            let expected = run(&mono(), &plate, &mask);
            for workers in [1, 2, 3, 7] {
                let farm = farm_mono::Pool::builder().workers(workers).build().unwrap();
                assert!(run(&farm, &plate, &mask) == expected, "mono {workers} {} {nx}", shape.0);
                let farm = farm_rayon::Pool::builder().workers(workers).build().unwrap();
                assert!(run(&farm, &plate, &mask) == expected, "rayon {workers} {} {nx}", shape.0);
                let farm = farm_process::Pool::builder().workers(workers).build().unwrap();
                assert!(
                    run(&farm, &plate, &mask) == expected,
                    "process {workers} {} {nx}",
                    shape.0
                );
            }
        }
    }
}
