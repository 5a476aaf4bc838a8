//! The steady state of the five-point scheme in closed form: the solution that all methods converge
//! to.
//!
//! With the top side at 1 and the others at 0,
//!
//! T(i, j) = sum over odd k <= nx of 2 / (nx + 1) cot(theta / 2) sin(theta i) sinh(beta j) /
//! sinh(beta (ny + 1)),
//!
//! theta = k pi / (nx + 1), cosh(beta) = 2 - cos(theta), that is sinh(beta / 2) = sin(theta / 2).
//!
//! The scheme is linear, so four sides that are not at 0 give four such sums, each in the
//! coordinates of its side.
//!
//! Source: separation of variables, as in Buzbee, Golub and Nielson, On direct methods for solving
//! Poisson's equations, SIAM J. Numer. Anal. 7 (1970) 627.

use std::f64::consts::PI;

use super::Plate;

/// The steady temperature of the cell in column `i` and row `j`.
///
/// # Shapes
///
/// `i` from 1 to nx, `j` from 1 to ny. One cell costs nx / 2 or ny / 2 terms for each side that is
/// not at 0.
///
/// # Panics
///
/// If the plate has no such cell.
///
/// # Examples
///
/// ```
/// use sims::plate::{Plate, exact::temperature};
///
/// let plate = Plate { nx: 9, ny: 9, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// assert!((temperature(&plate, 5, 5) - 25.0).abs() < 1e-12);
/// ```
#[must_use]
pub fn temperature(plate: &Plate, i: usize, j: usize) -> f64 {
    let Plate { nx, ny, .. } = *plate;
    assert!((1..=nx).contains(&i) && (1..=ny).contains(&j), "the plate has no such cell");
    let (i_right, j_top) = (nx + 1 - i, ny + 1 - j);
    [
        (plate.top, nx, ny, i, j),
        (plate.bottom, nx, ny, i, j_top),
        (plate.right, ny, nx, j, i),
        (plate.left, ny, nx, j, i_right),
    ]
    .into_iter()
    .filter(|&(side, ..)| side != 0.0)
    .map(|(side, width, height, across, up)| side * below_hot_side(width, height, across, up))
    .sum()
}

/// The temperature at column `i` and row `j` of `nx` by `ny` cells if row `ny + 1` is at 1 and the
/// other sides are at 0.
fn below_hot_side(nx: usize, ny: usize, i: usize, j: usize) -> f64 {
    let width = (nx + 1) as f64;
    (1..=nx)
        .step_by(2)
        .map(|k| {
            let half = 0.5 * PI * k as f64 / width;
            let beta = 2.0 * half.sin().asinh();
            // The sine has period 2 (nx + 1) in k i. The reduction in integers keeps all digits of
            // a large angle.
            let sine = (PI * (k * i % (2 * (nx + 1))) as f64 / width).sin();
            2.0 / width / half.tan() * sine * sinh_ratio(beta, j, ny + 1)
        })
        .sum()
}

/// sinh(beta j) / sinh(beta m) for j <= m, from exponentials that cannot overflow.
fn sinh_ratio(beta: f64, j: usize, m: usize) -> f64 {
    let (j, m) = (j as f64, m as f64);
    (beta * (j - m)).exp() * (-2.0 * beta * j).exp_m1() / (-2.0 * beta * m).exp_m1()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOPSIDED: Plate = Plate { nx: 11, ny: 6, top: 10.0, bottom: -3.0, left: 7.0, right: 0.5 };

    #[test]
    fn every_cell_is_the_mean_of_its_neighbours() {
        let mut temperatures = LOPSIDED.initial();
        for j in 1..=LOPSIDED.ny {
            for i in 1..=LOPSIDED.nx {
                temperatures[[j, i]] = temperature(&LOPSIDED, i, j);
            }
        }
        for j in 1..=LOPSIDED.ny {
            for i in 1..=LOPSIDED.nx {
                let sum = temperatures[[j, i - 1]]
                    + temperatures[[j, i + 1]]
                    + temperatures[[j - 1, i]]
                    + temperatures[[j + 1, i]];
                assert!((temperatures[[j, i]] - 0.25 * sum).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn equal_sides_make_an_equal_plate() {
        let plate = Plate { nx: 40, ny: 3000, top: 5.0, bottom: 5.0, left: 5.0, right: 5.0 };
        for (i, j) in [(1, 1), (20, 1500), (40, 3000), (7, 2999)] {
            assert!((temperature(&plate, i, j) - 5.0).abs() < 1e-11);
        }
    }

    #[test]
    fn a_very_tall_plate_does_not_overflow() {
        let plate = Plate { nx: 3, ny: 1_000_000, top: 1.0, bottom: 0.0, left: 0.0, right: 0.0 };
        assert_eq!(temperature(&plate, 2, 1), 0.0);
        assert!(temperature(&plate, 2, 1_000_000) > 0.4);
    }
}
