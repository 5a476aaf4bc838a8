//! The relativistic correction of the Sun's gravity, to first order in 1/c^2 (the 1PN term, which
//! turns Mercury's perihelion):
//!
//! a_i += GM_sun / (c^2 r^3) [(4 GM_sun / r - v^2) r + 4 (r.v) v],
//!
//! with r = x_i - x_sun and v = v_i - v_sun, and
//!
//! a_sun -= sum over i of (GM_i / GM_sun) a_i(1PN), which conserves the momentum.
//!
//! Its cost grows as the number of bodies, not of pairs. Body 0 is the Sun.
//!
//! If the Earth and the Moon are one body at their barycentre, the term makes the Earth *worse*
//! than Newton alone, because the missing quadrupole of the two bodies nearly cancels it. Use both
//! the term and two separate bodies, or neither.
//!
//! Source: Einstein, Infeld and Hoffmann (1938), for light bodies around a heavy one in harmonic
//! coordinates; in this form Anderson et al., Astrophys. J. 200 (1975) 221.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

use super::vector::{Vector, add, dot, row, scaled, sub};
use super::{Forces, System};

/// The speed of light in AU/day.
pub const SPEED_OF_LIGHT: f64 = 173.144_632_674_240_3;

/// A Newtonian law of gravity, and the 1PN term of body 0 in addition to it.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Ephemeris, Integrator, PostNewtonian, Serial, Simulation};
///
/// let start = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
/// let gravity = PostNewtonian::new(Serial::new(&start), &start);
/// let mut simulation = Simulation::new(start, gravity, Integrator::Yoshida4);
/// simulation.step(0.5)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct PostNewtonian<F> {
    newton: F,
    /// GM_sun.
    sun: f64,
    /// GM_i / GM_sun.
    masses: Vec<f64>,
}

impl<F: Forces> PostNewtonian<F> {
    /// Adds the term to the Newtonian gravity of the same bodies.
    #[must_use]
    pub fn new(newton: F, system: &System) -> Self {
        let sun = system.gm.first().copied().unwrap_or(0.0);
        Self { newton, sun, masses: system.gm.iter().map(|gm| gm / sun).collect() }
    }

    /// The Newtonian law that the term is added to.
    #[must_use]
    pub fn newton(&self) -> &F {
        &self.newton
    }
}

impl<F: Forces> Forces for PostNewtonian<F> {
    type Error = F::Error;

    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        out: ArrayViewMut2<f64>,
    ) -> Result<(), F::Error> {
        self.newton.attraction(positions, out)
    }

    fn accelerations_and_jerks(
        &mut self,
        x: ArrayView2<f64>,
        v: ArrayView2<f64>,
        mut accelerations: ArrayViewMut2<f64>,
        mut jerks: ArrayViewMut2<f64>,
    ) -> Result<(), F::Error> {
        let (a, j) = (accelerations.view_mut(), jerks.view_mut());
        self.newton.accelerations_and_jerks(x, v, a, j)?;
        self.add_corrections(x, v, accelerations.view_mut());
        let mut recoil = [0.0; 3];
        for i in 1..self.masses.len() {
            let r = sub(row(x, i), row(x, 0));
            let v = sub(row(v, i), row(v, 0));
            let a = sub(row(accelerations.view(), i), row(accelerations.view(), 0));
            let jerk = jerk(self.sun, r, v, a);
            put(&mut jerks, i, jerk);
            recoil = add(recoil, scaled(self.masses[i], jerk));
        }
        if self.masses.len() > 1 {
            put(&mut jerks, 0, scaled(-1.0, recoil));
        }
        Ok(())
    }

    fn has_corrections(&self) -> bool {
        true
    }

    fn add_corrections(&self, x: ArrayView2<f64>, v: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
        self.newton.add_corrections(x, v, out.view_mut());
        let mut recoil = [0.0; 3];
        for i in 1..self.masses.len() {
            let a = acceleration(self.sun, sub(row(x, i), row(x, 0)), sub(row(v, i), row(v, 0)));
            put(&mut out, i, a);
            recoil = add(recoil, scaled(self.masses[i], a));
        }
        if self.masses.len() > 1 {
            put(&mut out, 0, scaled(-1.0, recoil));
        }
    }
}

/// The 1PN term of G times the energy, in AU^5/day^4:
///
/// sum over i of GM_i / c^2 [3/8 v^4 + 3/2 v^2 GM_sun / r + 1/2 (GM_sun / r)^2].
///
/// With this term the energy of a body around the Sun is conserved. Terms between planets, which
/// are of the order of their masses over c^2, are left out, so the energy of the whole solar system
/// is conserved to 1e-13 in a year and 1e-11 in ten.
///
/// # Shapes
///
/// `gm: (n,)`, `positions: (n, 3)`, `velocities: (n, 3)`.
#[must_use]
pub fn energy(gm: ArrayView1<f64>, positions: ArrayView2<f64>, velocities: ArrayView2<f64>) -> f64 {
    let terms = (1..gm.len()).map(|i| {
        let r = sub(row(positions, i), row(positions, 0));
        let v = sub(row(velocities, i), row(velocities, 0));
        let (u, v2) = (gm[0] / dot(r, r).sqrt(), dot(v, v));
        gm[i] * (0.375 * v2 * v2 + 1.5 * v2 * u + 0.5 * u * u)
    });
    terms.sum::<f64>() / (SPEED_OF_LIGHT * SPEED_OF_LIGHT)
}

/// The term for one body at `r` with velocity `v`, both relative to a Sun of `gm`.
fn acceleration(gm: f64, r: Vector, v: Vector) -> Vector {
    let r2 = dot(r, r);
    let distance = r2.sqrt();
    let k = gm / (SPEED_OF_LIGHT * SPEED_OF_LIGHT * r2 * distance);
    let along = 4.0 * gm / distance - dot(v, v);
    add(scaled(k * along, r), scaled(4.0 * k * dot(r, v), v))
}

/// The rate of change of [`acceleration`], if `v` changes at the rate `a`.
fn jerk(gm: f64, r: Vector, v: Vector, a: Vector) -> Vector {
    let r2 = dot(r, r);
    let distance = r2.sqrt();
    let k = gm / (SPEED_OF_LIGHT * SPEED_OF_LIGHT * r2 * distance);
    let rv = dot(r, v);
    let along = 4.0 * gm / distance - dot(v, v);
    let d_along = -4.0 * gm * rv / (r2 * distance) - 2.0 * dot(v, a);
    let d_rv = dot(v, v) + dot(r, a);
    // The relative rate of change of k: -3 (r.v) / r^2.
    let d_k = -3.0 * rv / r2;
    let of_r = d_k * along + d_along;
    let of_v = 4.0 * (d_k * rv + d_rv) + along;
    add(scaled(k * of_r, r), add(scaled(k * of_v, v), scaled(4.0 * k * rv, a)))
}

fn put(out: &mut ArrayViewMut2<f64>, i: usize, term: Vector) {
    for c in 0..3 {
        out[[i, c]] += term[c];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GM: f64 = 2.959e-4;

    #[test]
    fn the_jerk_is_the_rate_of_change_of_the_term() {
        let (r, v, a) = ([0.3, -0.1, 0.05], [0.004, 0.03, -0.002], [-2e-3, 1e-3, -4e-4]);
        let at = |t: f64| {
            let r = add(r, add(scaled(t, v), scaled(0.5 * t * t, a)));
            acceleration(GM, r, add(v, scaled(t, a)))
        };
        let h = 1e-3;
        let slope = scaled(0.5 / h, sub(at(h), at(-h)));
        let error = sub(jerk(GM, r, v, a), slope);
        assert!(dot(error, error).sqrt() < 1e-6 * dot(slope, slope).sqrt());
    }

    #[test]
    fn the_energy_of_a_body_around_the_sun_changes_by_the_work_of_the_term() {
        let (r, v) = ([0.3, -0.1, 0.05], [0.004, 0.03, -0.002]);
        let work = dot(v, acceleration(GM, r, v));
        let fall = scaled(-GM / dot(r, r).powf(1.5), r);
        let at = |t: f64| {
            let r = add(r, add(scaled(t, v), scaled(0.5 * t * t, fall)));
            let v = add(v, scaled(t, fall));
            let rows = |b: Vector| ndarray::arr2(&[[0.0; 3], b]);
            energy(ndarray::arr1(&[GM, 1.0]).view(), rows(r).view(), rows(v).view())
        };
        let h = 1e-3;
        let slope = (at(h) - at(-h)) / (2.0 * h);
        assert!((work + slope).abs() < 1e-6 * work.abs(), "{work:e} {slope:e}");
    }
}
