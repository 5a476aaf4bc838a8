//! The quantities that gravity conserves: energy and angular momentum.
//!
//! Because G is part of the masses, these are G times the usual quantities:
//!
//! G E = sum over i of GM_i v_i^2 / 2 - sum over i < j of GM_i GM_j / |x_i - x_j|,
//!
//! G L = sum over i of GM_i x_i cross v_i.
//!
//! The sums are corrected for their rounding errors, because a good integrator changes the energy
//! by less than the error of a plain sum.
//!
//! Source of the summation: Neumaier, Rundungsfehleranalyse einiger Verfahren zur Summation
//! endlicher Summen, Z. angew. Math. Mech. 54 (1974) 39.

use ndarray::{ArrayView1, ArrayView2};

use super::System;

impl System {
    /// G times the [`total_energy`], in AU^5/day^4.
    #[must_use]
    pub fn total_energy(&self) -> f64 {
        total_energy(self.gm.view(), self.positions.view(), self.velocities.view())
    }

    /// G times the [`angular_momentum`], in AU^5/day^3.
    #[must_use]
    pub fn angular_momentum(&self) -> [f64; 3] {
        angular_momentum(self.gm.view(), self.positions.view(), self.velocities.view())
    }
}

/// G times the sum of kinetic and potential energy. The relative error of a run is the change of
/// this value over its initial value.
///
/// # Shapes
///
/// `gm: (n,)`, `positions: (n, 3)`, `velocities: (n, 3)`. The cost grows as n^2.
///
/// # Units
///
/// `gm` in AU^3/day^2, positions in AU, velocities in AU/day, the result in AU^5/day^4.
///
/// # Panics
///
/// If the shapes do not match.
#[must_use]
pub fn total_energy(
    gm: ArrayView1<f64>,
    positions: ArrayView2<f64>,
    velocities: ArrayView2<f64>,
) -> f64 {
    let (x, v) = (rows(gm, positions), rows(gm, velocities));
    let mut energy = Sum::default();
    for i in 0..gm.len() {
        energy.add(0.5 * gm[i] * squared(v[i]));
        for j in 0..i {
            let d = [x[i][0] - x[j][0], x[i][1] - x[j][1], x[i][2] - x[j][2]];
            energy.add(-gm[i] * gm[j] / squared(d).sqrt());
        }
    }
    energy.value()
}

/// G times the angular momentum about the origin.
///
/// # Shapes
///
/// `gm: (n,)`, `positions: (n, 3)`, `velocities: (n, 3)`.
///
/// # Units
///
/// `gm` in AU^3/day^2, positions in AU, velocities in AU/day, the result in AU^5/day^3.
///
/// # Panics
///
/// If the shapes do not match.
#[must_use]
pub fn angular_momentum(
    gm: ArrayView1<f64>,
    positions: ArrayView2<f64>,
    velocities: ArrayView2<f64>,
) -> [f64; 3] {
    let (x, v) = (rows(gm, positions), rows(gm, velocities));
    let mut momentum = [Sum::default(); 3];
    for i in 0..gm.len() {
        for (c, sum) in momentum.iter_mut().enumerate() {
            let (a, b) = ((c + 1) % 3, (c + 2) % 3);
            sum.add(gm[i] * x[i][a] * v[i][b]);
            sum.add(-gm[i] * x[i][b] * v[i][a]);
        }
    }
    momentum.map(Sum::value)
}

/// The rows of `array` as vectors, one for each body.
fn rows(gm: ArrayView1<f64>, array: ArrayView2<f64>) -> Vec<[f64; 3]> {
    assert_eq!(array.dim(), (gm.len(), 3), "an array does not fit gm");
    array.rows().into_iter().map(|row| [row[0], row[1], row[2]]).collect()
}

fn squared([x, y, z]: [f64; 3]) -> f64 {
    x * x + y * y + z * z
}

/// Neumaier's sum: the plain sum, and the sum of its rounding errors.
#[derive(Clone, Copy, Default)]
struct Sum {
    plain: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, x: f64) {
        let next = self.plain + x;
        self.lost += if self.plain.abs() >= x.abs() {
            (self.plain - next) + x
        } else {
            (x - next) + self.plain
        };
        self.plain = next;
    }

    fn value(self) -> f64 {
        self.plain + self.lost
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn small_terms_survive_between_large_ones() {
        let mut sum = Sum::default();
        for x in [1.0, 1e100, 1.0, -1e100] {
            sum.add(x);
        }
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn two_bodies_have_the_energy_of_the_formula() {
        let gm = array![3.0, 5.0];
        let positions = array![[0.0, 0.0, 0.0], [0.0, 3.0, 4.0]];
        let velocities = array![[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]];
        let energy = total_energy(gm.view(), positions.view(), velocities.view());
        assert_eq!(energy, 1.5 + 10.0 - 3.0);
        let momentum = angular_momentum(gm.view(), positions.view(), velocities.view());
        assert_eq!(momentum, [30.0, 0.0, 0.0]);
    }
}
