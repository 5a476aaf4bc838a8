//! The longest stable steps of methods with fixed steps.
//!
//! On a circular orbit of period P each coordinate oscillates with the angular frequency
//! w = 2 pi / P. If dt w of a method exceeds a limit, the oscillation grows without bound, whatever
//! the order of the method. The limit of the leapfrog is 2, which is a step of P / pi. Accurate
//! results need much shorter steps; steps beyond the limit are useless.
//!
//! Source: Hairer, Lubich and Wanner, Geometric Numerical Integration, 2nd ed. (2006), section
//! I.5.2 (exercise) and section V.3.

use std::f64::consts::TAU;

use super::adaptive::heavy;
use super::vector::{dot, row, sub};
use super::{Integrator, System};

/// The longest stable step of a method on a system, and the orbit that limits it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The step, in days.
    pub days: f64,
    /// The body whose orbit is the shortest.
    pub body: String,
    /// Its period, in days.
    pub period: f64,
}

impl Integrator {
    /// The largest dt w at which an oscillation of cos(w t) does not grow; `None` if the method
    /// chooses its steps.
    #[must_use]
    pub fn stability(self) -> Option<f64> {
        match self {
            Self::Leapfrog => Some(2.0),
            Self::Yoshida4 => Some(1.573),
            Self::Symplectic8 => Some(3.096),
            Self::Hermite4 => Some(1.19),
            Self::Dop853 | Self::Ias15 => None,
        }
    }

    /// The longest stable step for the present state of a system, which its shortest orbit
    /// determines. `None` if no body orbits another, or if the method chooses its steps.
    ///
    /// # Examples
    ///
    /// ```
    /// use sims::nbody::{Bodies, Ephemeris, Integrator};
    ///
    /// let system = Ephemeris::De421.initial_conditions(Bodies::Emb);
    /// let bound = Integrator::Leapfrog.longest_step(&system).ok_or("nothing orbits")?;
    /// assert_eq!((bound.body.as_str(), bound.days.round()), ("mercury", 28.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn longest_step(self, system: &System) -> Option<Bound> {
        let stability = self.stability()?;
        let (body, period) = shortest_orbit(system)?;
        let body = system.names[body].clone();
        Some(Bound { days: stability / TAU * period, body, period })
    }
}

/// The body with the shortest orbit around a heavier one, and its period in days.
fn shortest_orbit(system: &System) -> Option<(usize, f64)> {
    let gm = &system.gm;
    let heavy = heavy(system);
    let heaviest = heavy.iter().copied().max_by(|&a, &b| gm[a].total_cmp(&gm[b]))?;
    let around_heaviest = (0..system.len()).map(|i| (i, heaviest));
    let pairs = heavy.iter().flat_map(|&i| heavy.iter().map(move |&j| (i, j)));
    around_heaviest
        .chain(pairs)
        .filter(|&(i, j)| i != j && gm[i] <= gm[j])
        .filter_map(|(i, j)| period(system, i, j).map(|period| (i, period)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The period of two bodies around each other, if they are bound.
fn period(system: &System, i: usize, j: usize) -> Option<f64> {
    let (x, v) = (system.positions.view(), system.velocities.view());
    let (r, v) = (sub(row(x, i), row(x, j)), sub(row(v, i), row(v, j)));
    let mass = system.gm[i] + system.gm[j];
    let axis = 1.0 / (2.0 / dot(r, r).sqrt() - dot(v, v) / mass);
    (axis > 0.0 && axis.is_finite()).then(|| TAU * (axis / mass).sqrt() * axis)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ndarray::{ArrayView2, ArrayViewMut2};

    use super::*;
    use crate::nbody::{Bodies, Body, Ephemeris, Forces, Simulation};

    /// A spring for each coordinate, with w = 1.
    struct Springs;

    impl Forces for Springs {
        type Error = Infallible;

        fn attraction(
            &mut self,
            positions: ArrayView2<f64>,
            mut out: ArrayViewMut2<f64>,
        ) -> Result<(), Infallible> {
            out.assign(&positions.mapv(|x| -x));
            Ok(())
        }

        fn accelerations_and_jerks(
            &mut self,
            positions: ArrayView2<f64>,
            velocities: ArrayView2<f64>,
            mut accelerations: ArrayViewMut2<f64>,
            mut jerks: ArrayViewMut2<f64>,
        ) -> Result<(), Infallible> {
            accelerations.assign(&positions.mapv(|x| -x));
            jerks.assign(&velocities.mapv(|v| -v));
            Ok(())
        }
    }

    /// The amplitude after 3000 steps of an oscillation that starts with the amplitude 1.
    fn swing(integrator: Integrator, dt: f64) -> f64 {
        let body = Body {
            name: "weight".into(),
            gm: 1.0,
            position: [1.0, 0.0, 0.0],
            velocity: [0.0, 0.0, 1.0],
        };
        let mut run = Simulation::new(std::iter::once(body).collect(), Springs, integrator);
        let steps = (0..3000).try_for_each(|_| run.step(dt).map(drop));
        let reached = run.system().positions.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        if steps.is_ok() { reached } else { f64::INFINITY }
    }

    #[test]
    fn swings_grow_beyond_the_bound_and_not_below() {
        for integrator in Integrator::ALL {
            let Some(bound) = integrator.stability() else { continue };
            assert!(swing(integrator, 0.99 * bound) < 100.0, "{}", integrator.name());
            assert!(swing(integrator, 1.008 * bound) > 1e6, "{}", integrator.name());
        }
    }

    #[test]
    fn the_moon_has_the_shortest_orbit_where_it_is_a_body() {
        let system = Ephemeris::De440.initial_conditions(Bodies::EarthMoon);
        let bound = Integrator::Leapfrog.longest_step(&system).unwrap();
        assert_eq!(bound.body, "moon");
        assert!((bound.period - 27.3).abs() < 1.0 && (bound.days - 8.7).abs() < 0.3, "{bound:?}");
        assert_eq!(Integrator::Ias15.longest_step(&system), None);
    }
}
