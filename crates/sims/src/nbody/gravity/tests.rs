//! The sum of the pulls compared with the formula, level by level.

use ndarray::{Array1, Array2, ArrayView2, array, s};
use rand::{RngExt, SeedableRng};

use super::*;
use crate::nbody::{Bodies, Ephemeris};

fn levels() -> impl Iterator<Item = Level> {
    Level::ALL.into_iter().filter(|level| level.is_available())
}

/// Masses, positions and velocities of n bodies.
fn bodies(n: usize, seed: u64) -> (Array1<f64>, Array2<f64>, Array2<f64>) {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(seed);
    let gm = Array1::from_shape_fn(n, |_| rng.random_range(0.0..2.0));
    let positions = Array2::from_shape_fn((n, 3), |_| rng.random_range(-1.0..1.0));
    let velocities = Array2::from_shape_fn((n, 3), |_| rng.random_range(-1.0..1.0));
    (gm, positions, velocities)
}

fn accelerations(level: Level, positions: &Array2<f64>, gm: &Array1<f64>) -> Array2<f64> {
    let mut out = Array2::from_elem(positions.raw_dim(), f64::NAN);
    DirectSum::new(gm.view(), level).accelerations(positions.view(), out.view_mut());
    out
}

fn jerks(
    level: Level,
    positions: &Array2<f64>,
    velocities: &Array2<f64>,
    gm: &Array1<f64>,
) -> [Array2<f64>; 2] {
    let mut out = [0, 1].map(|_| Array2::from_elem(positions.raw_dim(), f64::NAN));
    let [a, j] = &mut out;
    let mut sum = DirectSum::new(gm.view(), level);
    sum.accelerations_and_jerks(positions.view(), velocities.view(), a.view_mut(), j.view_mut());
    out
}

/// The formula, term by term: the acceleration and the jerk of body i due to body j.
fn pull(x: ArrayView2<f64>, v: ArrayView2<f64>, gm: f64, i: usize, j: usize) -> [[f64; 3]; 2] {
    let d = [0, 1, 2].map(|c| x[[j, c]] - x[[i, c]]);
    let u = [0, 1, 2].map(|c| v[[j, c]] - v[[i, c]]);
    let dot = |a: [f64; 3], b: [f64; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    let r = dot(d, d).sqrt();
    let w = gm / (r * r * r);
    let rate = 3.0 * dot(d, u) / (r * r);
    [d.map(|d| w * d), [0, 1, 2].map(|c| w * (u[c] - rate * d[c]))]
}

/// Checks every component against the formula; `bound` is relative to the sum of the pairs'
/// absolute contributions.
fn check(level: Level, n: usize, bound: f64) {
    let (gm, x, v) = bodies(n, n as u64);
    let a = accelerations(level, &x, &gm);
    let [a_too, jerk] = jerks(level, &x, &v, &gm);
    for i in 0..n {
        let (mut sums, mut sizes) = ([[0.0; 3]; 2], [0.0; 2]);
        for j in (0..n).filter(|&j| j != i) {
            for (k, part) in pull(x.view(), v.view(), gm[j], i, j).into_iter().enumerate() {
                for c in 0..3 {
                    sums[k][c] += part[c];
                    sizes[k] += part[c].abs();
                }
            }
        }
        for c in 0..3 {
            for (k, value) in [(0, &a), (0, &a_too), (1, &jerk)] {
                let error = (value[[i, c]] - sums[k][c]).abs();
                assert!(error <= bound * sizes[k], "{level:?}, {n} bodies, body {i}: {error:e}");
            }
        }
    }
}

#[test]
fn the_force_of_a_pair_is_that_of_the_formula_at_any_distance() {
    let mut rng = rand_pcg::Pcg64::seed_from_u64(1);
    let still = Array2::zeros((2, 3));
    for level in levels() {
        for k in 0..100_000 {
            let distance = 10.0_f64.powf(f64::from(k) / 500.0 - 100.0);
            let mut positions = Array2::from_shape_fn((2, 3), |_| rng.random_range(-1.0..1.0));
            positions *= distance;
            let gm = array![rng.random_range(0.0..1e5), 10.0_f64.powf(rng.random_range(-9.0..5.0))];
            let forces = accelerations(level, &positions, &gm);
            for (i, j) in [(0, 1), (1, 0)] {
                let [expected, _] = pull(positions.view(), still.view(), gm[j], i, j);
                for c in 0..3 {
                    let error = (forces[[i, c]] / expected[c] - 1.0).abs();
                    assert!(error < 5e-15, "{level:?}: {error:e} at a distance of {distance:e}");
                }
            }
        }
    }
}

#[test]
fn any_number_of_bodies_feels_the_sum_of_its_pairs() {
    for level in levels() {
        for n in (0..=40).chain([63, 64, 65, 127, 129, 500, 1000, 1999, 2000, 2007]) {
            check(level, n, 2e-14);
        }
    }
}

#[test]
fn many_bodies_in_many_shares_feel_the_sum_of_their_pairs() {
    for level in levels() {
        check(level, 4099, 2e-14);
    }
}

#[test]
fn the_bits_do_not_depend_on_who_computes_which_share() {
    fn shared_out<F: Law<IN, OUT>, const IN: usize, const OUT: usize>(
        pairs: PairSum,
        packed: &[f64],
        parts: usize,
    ) -> Vec<u64> {
        let len = pairs.row_len::<OUT>();
        let mut rows = vec![f64::NAN; pairs.shares() * len];
        for range in farm_core::distribute(pairs.shares(), parts).into_iter().rev() {
            let band = &mut rows[range.start * len..range.end * len];
            pairs.sum::<F, IN, OUT>(range, packed, band);
        }
        let mut out = vec![vec![[0.0; 3]; pairs.n]; OUT / 3];
        let mut vectors: Vec<_> = out.iter_mut().map(|v| &mut v[..]).collect();
        pairs.gather::<OUT>(&rows, &mut vectors);
        out.iter().flatten().flatten().map(|x| x.to_bits()).collect()
    }
    for level in levels() {
        for n in [300, 2100, 4100] {
            let (gm, x, v) = bodies(n, 3);
            let pairs = PairSum { level, n };
            let gm = gm.to_vec();
            let mut packed = vec![0.0; pairs.packed_len::<4>()];
            pairs.pack::<4>(&gm, &[&rows(&x.view())], &mut packed);
            let mut packed_too = vec![0.0; pairs.packed_len::<7>()];
            pairs.pack::<7>(&gm, &[&rows(&x.view()), &rows(&v.view())], &mut packed_too);
            let whole = shared_out::<Newton, 4, 3>(pairs, &packed, 1);
            let whole_too = shared_out::<NewtonWithJerk, 7, 6>(pairs, &packed_too, 1);
            for parts in [2, 3, 7, 32] {
                assert_eq!(shared_out::<Newton, 4, 3>(pairs, &packed, parts), whole);
                let shared = shared_out::<NewtonWithJerk, 7, 6>(pairs, &packed_too, parts);
                assert_eq!(shared, whole_too);
            }
        }
    }
}

#[test]
fn action_is_reaction() {
    for level in levels() {
        for n in [2, 10, 100, 2100] {
            let (gm, x, v) = bodies(n, 5);
            let [a, jerk] = jerks(level, &x, &v, &gm);
            for of in [accelerations(level, &x, &gm), a, jerk] {
                let total = gm.dot(&of);
                let size = gm.dot(&of.mapv(f64::abs));
                for c in 0..3 {
                    assert!(total[c].abs() < 1e-14 * size[c], "{level:?}, {n} bodies");
                }
            }
        }
    }
}

#[test]
fn two_bodies_at_one_point_are_not_hidden() {
    for level in levels() {
        for (n, i, j) in
            [(2, 0, 1), (8, 1, 6), (9, 3, 8), (40, 17, 18), (2100, 5, 2090), (2100, 1700, 1703)]
        {
            let (gm, mut x, _) = bodies(n, 7);
            let point = x.row(i).to_owned();
            x.row_mut(j).assign(&point);
            let a = accelerations(level, &x, &gm);
            for k in 0..n {
                assert_eq!(a.row(k).iter().all(|a| a.is_finite()), k != i && k != j);
            }
        }
    }
}

#[test]
fn a_body_without_mass_feels_and_is_not_felt() {
    for level in levels() {
        let (mut gm, x, _) = bodies(11, 9);
        gm[10] = 0.0;
        let with = accelerations(level, &x, &gm);
        let rest =
            accelerations(level, &x.slice(s![..10, ..]).to_owned(), &gm.slice(s![..10]).to_owned());
        let error = (&with.slice(s![..10, ..]) - &rest).mapv(f64::abs);
        assert!(error.iter().all(|e| *e < 1e-13));
        assert!(with.row(10).iter().all(|a| *a != 0.0));
    }
}

#[test]
fn a_body_alone_feels_nothing() {
    for level in levels() {
        let a = accelerations(level, &array![[1e9, 2.0, 3.0]], &array![4.0]);
        assert_eq!(a, Array2::zeros((1, 3)));
    }
}

#[test]
fn arrays_need_not_be_contiguous() {
    for level in levels() {
        let (gm, x, _) = bodies(11, 11);
        let columns = x.t().as_standard_layout().to_owned();
        let mut out = Array2::zeros((3, 11));
        let mut sum = DirectSum::new(gm.view(), level);
        sum.accelerations(columns.t(), out.view_mut().reversed_axes());
        assert_eq!(out.t(), accelerations(level, &x, &gm));
    }
}

#[test]
fn ranges_of_sources_add_up_to_all() {
    let (gm, x, _) = bodies(2130, 13);
    let whole = calc_forces(x.view(), gm.view(), 0..2130, 0..2130);
    assert_eq!(whole, accelerations(Level::best(), &x, &gm));
    for i in [0..2130, 0..1, 100..300, 2129..2130, 40..40] {
        for cut in [0, 1, 8, 100, 200, 400, 2130] {
            let sum = calc_forces(x.view(), gm.view(), i.clone(), 0..cut)
                + calc_forces(x.view(), gm.view(), i.clone(), cut..2130);
            let expected = whole.slice(s![i.clone(), ..]);
            let scale = whole.fold(0.0_f64, |a, b| a.max(b.abs()));
            assert!((&sum - &expected).iter().all(|e| e.abs() < 1e-13 * scale));
        }
    }
}

#[test]
#[should_panic(expected = "i_range goes beyond the last body")]
fn a_range_beyond_the_last_body_is_refused() {
    let (gm, x, _) = bodies(3, 1);
    let _ = calc_forces(x.view(), gm.view(), 2..4, 0..1);
}

#[test]
fn the_jerk_is_the_rate_of_change_of_the_acceleration() {
    for level in levels() {
        let system = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
        let (gm, x, v) = (&system.gm, &system.positions, &system.velocities);
        let [_, jerks] = jerks(level, x, v, gm);
        let h = 1e-3;
        let at = |t: f64| accelerations(level, &(x + &(v * t)), gm);
        let slopes = (at(h) - at(-h)) / (2.0 * h);
        for (jerk, slope) in jerks.rows().into_iter().zip(slopes.rows()) {
            let error = &jerk - &slope;
            assert!(error.dot(&error).sqrt() < 1e-7 * jerk.dot(&jerk).sqrt());
        }
    }
}
