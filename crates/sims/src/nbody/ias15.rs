//! IAS15: a Gauss-Radau integrator of order 15 with adaptive steps.
//!
//! Within a step of length dt, with h from 0 to 1, the acceleration is a polynomial through its
//! values at eight Radau nodes:
//!
//! a(h) = a0 + b0 h + b1 h^2 + ... + b6 h^7, v(h) = v0 + dt h (a0 + b0 h/2 + ... + b6 h^7/8),
//! x(h) = x0 + dt h v0 + dt^2 h^2 (a0/2 + b0 h/6 + ... + b6 h^7/72).
//!
//! The b follow from the accelerations at the positions that they themselves give. They start from
//! the extrapolated b of the last step, and are corrected until they have converged, usually in two
//! or three rounds. A step costs one evaluation of the forces and seven a round, usually fifteen to
//! twenty-two.
//!
//! The length of a step is (5040 `accuracy`)^(1/7) times the shortest time in which the
//! acceleration of a heavy body changes (see [`adaptive`](super::adaptive)), so that `accuracy` is
//! about the share of the last term of the series in the acceleration; its default is 1e-9. The
//! error of a step is smaller by many digits: with 1e-9 it is that of rounding, the planets end ten
//! years within 1e-12 AU, and their energy is kept to 1e-15.
//!
//! Source: Rein and Spiegel, IAS15: a fast, adaptive, high-order integrator for gravitational
//! dynamics, accurate to machine precision over a billion orbits, Mon. Not. R. Astron. Soc. 446
//! (2015) 1424; Everhart, in Dynamics of Comets (1985) 185; the length of a step: Pham, Rein and
//! Spiegel, A new timestep criterion for N-body simulations, Open J. Astrophys. 7 (2024).

use ndarray::{Array2, ArrayView2};

use super::adaptive::{SHORTEST, first_step, heavy, longest, longest_of, remembered, share};
use super::integrator::{Halt, Stepper};
use super::vector::{add, dot, row, scaled};
use super::{Forces, State};

/// The default accuracy.
pub const ACCURACY: f64 = 1e-9;
/// The nodes: the roots of (P7 + P8)(2 h - 1), where the P are Legendre polynomials.
const NODES: [f64; 8] = [
    0.0,
    0.056_262_560_536_922_15,
    0.180_240_691_736_892_36,
    0.352_624_717_113_169_6,
    0.547_153_626_330_555_4,
    0.734_210_177_215_410_5,
    0.885_320_946_839_095_8,
    0.977_520_613_561_287_5,
];
/// The largest factor between the lengths of successive steps. A step that was too long by more
/// than this factor is repeated.
const CHANGE: f64 = 4.0;
/// The largest number of rounds of correction.
const ROUNDS: usize = 12;
/// A change of b6, relative to the largest acceleration, that is too small to move a body.
const SETTLED: f64 = 1e-12;
/// The b of the last step are not extrapolated to a step that is longer by more than this factor.
const TOO_DIFFERENT: f64 = 20.0;

/// The coefficients of all coordinates: the b, or the g of Newton's form of the same polynomial.
type Series = [Vec<f64>; 7];

/// IAS15, with the data of its last step.
#[derive(Debug)]
pub struct Ias15 {
    accuracy: f64,
    tables: Tables,
    heavy: Vec<usize>,
    /// The proposed length of the next step, in days; 0 before the first step.
    proposed: f64,
    /// The length of the last step, its b, and the b that had been predicted for it.
    last: f64,
    b: Series,
    expected: Series,
}

impl Ias15 {
    /// The integrator before its first step.
    #[must_use]
    pub(crate) fn new(accuracy: f64) -> Self {
        Self {
            accuracy,
            tables: Tables::new(),
            heavy: Vec::new(),
            proposed: 0.0,
            last: 0.0,
            b: Series::default(),
            expected: Series::default(),
        }
    }

    /// The b of the last step extrapolated to a step of `dt`, without and with the error of the
    /// last prediction added.
    fn continued(&self, dt: f64, coordinates: usize) -> [Series; 2] {
        let q = dt / self.last;
        if self.last == 0.0 || q.abs() > TOO_DIFFERENT {
            return [zeros(coordinates), zeros(coordinates)];
        }
        let expected: Series = std::array::from_fn(|k| {
            let power = q.powi(k as i32 + 1);
            let binomials = &self.tables.binomials[k];
            let sum = |i: usize| (k..7).rev().map(|j| binomials[j] * self.b[j][i]).sum::<f64>();
            (0..coordinates).map(|i| power * sum(i)).collect()
        });
        let corrected = std::array::from_fn(|k| {
            let wrong = self.b[k].iter().zip(&self.expected[k]).map(|(b, e)| b - e);
            expected[k].iter().zip(wrong).map(|(e, wrong)| e + wrong).collect()
        });
        [expected, corrected]
    }
}

impl<F: Forces> Stepper<F> for Ias15 {
    fn step(
        &mut self,
        state: &mut State,
        forces: &mut F,
        left: f64,
    ) -> Result<f64, Halt<F::Error>> {
        let mut a0 = Array2::zeros((state.len(), 3));
        forces.accelerations(state.positions(), state.velocities(), a0.view_mut())?;
        if self.proposed == 0.0 {
            self.heavy = heavy(state.system());
            self.proposed = first_step(&self.heavy, state.velocities(), a0.view());
        }
        let mut proposed = self.proposed;
        let (dt, expected, b) = loop {
            if proposed < SHORTEST {
                return Err(Halt::TooShort);
            }
            let dt = share(left, proposed);
            let [expected, mut b] = self.continued(dt, 3 * state.len());
            self.correct(state, forces, &a0, &mut b, dt)?;
            // The factor is infinite if no acceleration changes. Positions that are not finite do
            // not affect it; the caller finds them.
            let factor = self.part_of_time_scale() * shortest(&self.heavy, &a0, &b);
            if factor < 1.0 / CHANGE {
                proposed = dt.abs() * factor;
                continue;
            }
            self.proposed = remembered(dt.abs() * factor.min(CHANGE), dt, proposed);
            break (dt, expected, b);
        };
        let (dx, dv) = self.tables.change(state.velocities(), &a0, &b, dt, 1.0);
        state.shift(1.0, dx.view());
        state.boost(1.0, dv.view());
        (self.last, self.b, self.expected) = (dt, b, expected);
        Ok(dt)
    }
}

impl Ias15 {
    /// The length of a step, as a factor of the time in which accelerations change.
    fn part_of_time_scale(&self) -> f64 {
        // 5040 is 7!, from the last term of the series of a.
        (5040.0 * self.accuracy).powf(1.0 / 7.0)
    }

    /// Corrects the b of a step until they are those of the accelerations along the path that they
    /// describe.
    fn correct<F: Forces>(
        &self,
        state: &State,
        forces: &mut F,
        a0: &Array2<f64>,
        b: &mut Series,
        dt: f64,
    ) -> Result<(), Halt<F::Error>> {
        let Tables { c, .. } = &self.tables;
        let mut g = self.tables.newtons_form(b);
        let mut a = Array2::zeros(a0.raw_dim());
        let mut before = f64::INFINITY;
        for _ in 0..ROUNDS {
            let mut last_changes = Vec::new();
            for n in 1..=7 {
                let (mut x, mut v) = self.tables.change(state.velocities(), a0, b, dt, NODES[n]);
                x += &state.lost_of_positions();
                x += &state.positions();
                v += &state.velocities();
                forces.accelerations(x.view(), v.view(), a.view_mut())?;
                let changes = self.tables.refine(&mut g, n, &a, a0);
                for (b, c) in b.iter_mut().zip(&c[n - 1]).take(n) {
                    b.iter_mut().zip(&changes).for_each(|(b, change)| *b += c * change);
                }
                last_changes = changes;
            }
            let largest = longest(&self.heavy, a.view());
            let change = longest_of(self.heavy.iter().map(|&i| at(&last_changes, i))) / largest;
            // The change of b6 should shrink in the next round by the same factor as in this one.
            let next = if before < f64::INFINITY { change * (change / before) } else { change };
            // A NaN does not converge: the caller finds the body that it belongs to.
            if next < SETTLED || next.is_nan() {
                break;
            }
            before = change;
        }
        Ok(())
    }
}

/// The constants of the method, derived from its nodes.
#[derive(Debug)]
struct Tables {
    /// `c[j][k]`: the factor of h^(k+1) in h (h - h_1) ... (h - h_j).
    c: [[f64; 7]; 7],
    /// `d[j][k]`: the factor of h (h - h_1) ... (h - h_k) in h^(j+1).
    d: [[f64; 7]; 7],
    /// `binomials[k][j]`: the binomial coefficient (j + 1 over k + 1).
    binomials: [[f64; 7]; 7],
}

impl Tables {
    fn new() -> Self {
        let [mut c, mut d, mut binomials] = [[[0.0; 7]; 7]; 3];
        for j in 0..7 {
            (c[j][j], d[j][j]) = (1.0, 1.0);
            for k in 0..j {
                let (c_before, d_before) =
                    if k > 0 { (c[j - 1][k - 1], d[j - 1][k - 1]) } else { (0.0, 0.0) };
                c[j][k] = c_before - NODES[j] * c[j - 1][k];
                d[j][k] = d_before + NODES[k + 1] * d[j - 1][k];
            }
            for (k, binomials) in binomials.iter_mut().enumerate().take(j + 1) {
                binomials[j] =
                    (0..=k).fold(1.0, |all, i| all * (j + 1 - i) as f64 / (i + 1) as f64);
            }
        }
        Self { c, d, binomials }
    }

    /// The g that belong to `b`.
    fn newtons_form(&self, b: &Series) -> Series {
        std::array::from_fn(|k| {
            let sum = |i: usize| (k..7).rev().map(|j| self.d[j][k] * b[j][i]).sum();
            (0..b[k].len()).map(sum).collect()
        })
    }

    /// Makes the polynomial of `g` meet the acceleration `a` at node n, and returns the changes of
    /// g_(n-1).
    fn refine(&self, g: &mut Series, n: usize, a: &Array2<f64>, a0: &Array2<f64>) -> Vec<f64> {
        let inverse: [f64; 8] = std::array::from_fn(|k| 1.0 / (NODES[n] - NODES[k]));
        let (known, unknown) = g.split_at_mut(n - 1);
        let rises = a.iter().zip(a0).map(|(a, a0)| (a - a0) * inverse[0]);
        rises
            .zip(&mut unknown[0])
            .enumerate()
            .map(|(i, (rise, unknown))| {
                let steps = known.iter().zip(&inverse[1..]);
                let new = steps.fold(rise, |rise, (g, inverse)| (rise - g[i]) * inverse);
                new - std::mem::replace(unknown, new)
            })
            .collect()
    }

    /// The changes of positions and velocities from the start of a step to its fraction h.
    fn change(
        &self,
        v0: ArrayView2<f64>,
        a0: &Array2<f64>,
        b: &Series,
        dt: f64,
        h: f64,
    ) -> (Array2<f64>, Array2<f64>) {
        let mut dx = Array2::zeros(a0.raw_dim());
        let mut dv = Array2::zeros(a0.raw_dim());
        // The factors of the terms: 1 / ((k + 2) (k + 3)) for positions, 1 / (k + 2) for
        // velocities.
        let power: [f64; 7] = std::array::from_fn(|k| h.powi(k as i32 + 1));
        let of_v: [f64; 7] = std::array::from_fn(|k| power[k] / (k + 2) as f64);
        let of_x: [f64; 7] = std::array::from_fn(|k| of_v[k] / (k + 3) as f64);
        let way = h * dt;
        let rows = dx.iter_mut().zip(dv.iter_mut()).zip(v0.iter().zip(a0)).enumerate();
        for (i, ((dx, dv), (v0, a0))) in rows {
            let (mut x, mut v) = (0.0, 0.0);
            for k in (0..7).rev() {
                x += of_x[k] * b[k][i];
                v += of_v[k] * b[k][i];
            }
            *dx = way * (v0 + way * (0.5 * a0 + x));
            *dv = way * (a0 + v);
        }
        (dx, dv)
    }
}

/// The shortest time in which the acceleration of one of `bodies` changes at the end of a step, in
/// units of the step: t^2 = 2 y2^2 / (y3^2 + y2 y4), where y2, y3 and y4 are the acceleration and
/// its first two derivatives.
fn shortest(bodies: &[usize], a0: &Array2<f64>, b: &Series) -> f64 {
    let squares = bodies.iter().map(|&i| {
        let [mut y2, mut y3, mut y4] = [row(a0.view(), i), [0.0; 3], [0.0; 3]];
        for (k, b) in b.iter().enumerate() {
            let (b, power) = (at(b, i), (k + 1) as f64);
            y2 = add(y2, b);
            y3 = add(y3, scaled(power, b));
            y4 = add(y4, scaled(power * (power - 1.0), b));
        }
        2.0 * dot(y2, y2) / (dot(y3, y3) + (dot(y4, y4) * dot(y2, y2)).sqrt())
    });
    squares.filter(|t2| *t2 > 0.0).fold(f64::INFINITY, f64::min).sqrt()
}

fn zeros(coordinates: usize) -> Series {
    std::array::from_fn(|_| vec![0.0; coordinates])
}

/// The three coordinates of body `i`.
fn at(coordinates: &[f64], i: usize) -> [f64; 3] {
    [coordinates[3 * i], coordinates[3 * i + 1], coordinates[3 * i + 2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_are_those_of_radau() {
        for h in NODES {
            let x = 2.0 * h - 1.0;
            let (mut p, mut next) = (1.0, x);
            for k in 1..8 {
                let k = f64::from(k);
                (p, next) = (next, ((2.0 * k + 1.0) * x * next - k * p) / (k + 1.0));
            }
            assert!((p + next).abs() < 1e-14, "{h}: {}", p + next);
        }
    }

    #[test]
    fn both_forms_describe_one_polynomial() {
        let tables = Tables::new();
        let b: Series = std::array::from_fn(|k| vec![1.0 / (k + 1) as f64]);
        let g = tables.newtons_form(&b);
        for (k, b) in b.iter().enumerate() {
            let back: f64 = (k..7).map(|j| tables.c[j][k] * g[j][0]).sum();
            assert!((back - b[0]).abs() < 1e-14);
        }
        assert_eq!(tables.binomials[1][6], 21.0);
    }
}
