//! The ellipse that a body would follow if it and one other body were alone.
//!
//! With r and v relative to the other body and mu = GM_i + GM_j, the vector
//! e = (v x (r x v)) / mu - r / |r| points to the pericentre, the semi-major axis is
//! a = 1 / (2 / |r| - v^2 / mu), and the points of the ellipse are a (cos E - e) along e and
//! a sqrt(1 - e^2) sin E across.
//!
//! Source: Murray and Dermott, Solar System Dynamics (1999), sections 2.3 and 2.4.

use std::f64::consts::TAU;

use super::System;
use super::vector::{add, cross, dot, row, scaled, sub};

/// Points on the present ellipse of body `i` around body `around`, relative to `around`. There are
/// `places + 1` points, because the last one equals the first. `None` if the body is not bound.
///
/// # Units
///
/// AU.
///
/// # Panics
///
/// If there is no body `i` or `around`.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Ephemeris, kepler};
///
/// let system = Ephemeris::De421.initial_conditions(Bodies::Emb);
/// let venus = kepler::ellipse(&system, 2, 0, 100).ok_or("Venus has escaped")?;
/// assert!(venus.iter().all(|[x, y, z]| (0.71..0.73).contains(&(x * x + y * y + z * z).sqrt())));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn ellipse(system: &System, i: usize, around: usize, places: usize) -> Option<Vec<[f64; 3]>> {
    let (x, v) = (system.positions.view(), system.velocities.view());
    let (r, v) = (sub(row(x, i), row(x, around)), sub(row(v, i), row(v, around)));
    let mu = system.gm[i] + system.gm[around];
    let distance = dot(r, r).sqrt();
    let axis = 1.0 / (2.0 / distance - dot(v, v) / mu);
    let momentum = cross(r, v);
    let eccentric = sub(scaled(1.0 / mu, cross(v, momentum)), scaled(1.0 / distance, r));
    let e = dot(eccentric, eccentric).sqrt();
    if !(axis.is_finite() && axis > 0.0 && e < 1.0 && dot(momentum, momentum) > 0.0) {
        return None;
    }
    // A circle has no pericentre, so any direction will do.
    let along = if e > 1e-12 { scaled(1.0 / e, eccentric) } else { scaled(1.0 / distance, r) };
    let across = cross(scaled(1.0 / dot(momentum, momentum).sqrt(), momentum), along);
    let place = |k: usize| {
        let (sin, cos) = (TAU * k as f64 / places as f64).sin_cos();
        let width = axis * (1.0 - e * e).sqrt();
        add(scaled(axis * (cos - e), along), scaled(width * sin, across))
    };
    Some((0..=places).map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nbody::{Bodies, Ephemeris};

    #[test]
    fn a_body_is_on_its_ellipse() {
        let system = Ephemeris::De440.initial_conditions(Bodies::Emb);
        for i in 1..system.len() {
            let ellipse = ellipse(&system, i, 0, 10_000).unwrap();
            let x = system.positions.view();
            let r = sub(row(x, i), row(x, 0));
            let nearest = ellipse.iter().map(|place| {
                let d = sub(*place, r);
                dot(d, d).sqrt()
            });
            let nearest = nearest.fold(f64::INFINITY, f64::min);
            assert!(nearest < 1e-3 * dot(r, r).sqrt(), "{}: {nearest}", system.names[i]);
        }
    }

    #[test]
    fn what_flies_away_has_no_ellipse() {
        let mut system = Ephemeris::De440.initial_conditions(Bodies::Emb);
        system.velocities[[3, 0]] = 1.0;
        assert_eq!(ellipse(&system, 3, 0, 10), None);
    }
}
