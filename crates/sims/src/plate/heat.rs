//! The heat equation dT/dt = laplacian of T on a plate whose shorter side has length 1, by explicit
//! Euler:
//!
//! T_new = T + r (T_left + T_right + T_below + T_above - 4 T), r = dt / h^2, h = 1 / (n + 1).
//!
//! The method has order 1 in dt and 2 in h, and is stable up to r = 1/4: with a larger r the
//! shortest waves grow from step to step. On the unit square with sides at 0, each step multiplies
//! a wave sin(k pi x) sin(l pi y) by
//!
//! 1 - 4 r (sin^2(k pi h / 2) + sin^2(l pi h / 2)),
//!
//! which differs from the exact factor exp(-(k^2 + l^2) pi^2 dt) by the error of these orders.
//!
//! Source: Morton and Mayers, Numerical Solution of Partial Differential Equations, 2nd ed. (2005),
//! sections 2.6 and 3.1.

use std::f64::consts::PI;

use ndarray::ArrayViewMut2;

use super::Plate;

/// The largest stable dt / h^2.
pub const LARGEST_RATIO: f64 = 0.25;

/// A wave that vanishes at the sides: amplitude times sin(k pi x) sin(l pi y), where x and y are
/// fractions of the sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mode {
    /// Half waves from left to right.
    pub k: usize,
    /// Half waves from bottom to top.
    pub l: usize,
    /// The amplitude in kelvin.
    pub amplitude: f64,
}

/// Adds waves to the cells of the plate; the sides are left unchanged.
///
/// # Shapes
///
/// `temperatures: (ny + 2, nx + 2)`.
///
/// # Panics
///
/// If `temperatures` has another shape.
///
/// # Examples
///
/// ```
/// use sims::plate::{Method, Plate, Relaxation, heat};
///
/// let plate = Plate { nx: 63, ny: 63, top: 0.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let wave = heat::Mode { k: 1, l: 1, amplitude: 1.0 };
/// let mut waves = Relaxation::with(&plate, Method::Heat { ratio: 0.25 }, None, |temperatures| {
///     heat::add_modes(&plate, &[wave], temperatures);
/// })?;
/// waves.advance(&farm_mono::Pool::new()?, 1000)?;
/// assert!((waves.temperatures()[[32, 32]] - 0.299_611_141_294_524_2).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn add_modes(plate: &Plate, modes: &[Mode], mut temperatures: ArrayViewMut2<'_, f64>) {
    assert_eq!(temperatures.dim(), plate.shape(), "the array does not fit the plate");
    for mode in modes {
        let across: Vec<f64> = (0..plate.nx + 2).map(|i| sine(mode.k, i, plate.nx + 1)).collect();
        for j in 1..=plate.ny {
            let up = mode.amplitude * sine(mode.l, j, plate.ny + 1);
            for i in 1..=plate.nx {
                temperatures[[j, i]] += across[i] * up;
            }
        }
    }
}

/// sin(pi k i / n), with the angle reduced in integers.
fn sine(k: usize, i: usize, n: usize) -> f64 {
    let turns = (k as u128 * i as u128 % (2 * n as u128)) as f64;
    (PI * turns / n as f64).sin()
}
