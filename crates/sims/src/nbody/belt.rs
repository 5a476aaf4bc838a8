//! A seeded belt of light asteroids, for runs with more bodies than the planets.
//!
//! All asteroids come from one generator, with a fixed number of draws each, so asteroid k depends
//! on the seed and k alone, and a larger belt starts with the smaller one. The code derives numbers
//! from the generator's 64-bit words itself, and computes angles without libm: neither a new
//! version of a distribution nor another platform's sine changes a bit.
//!
//! Equations: r = p / (1 + e cos nu) with p = a (1 - e^2), and
//! (dr/dt, r dnu/dt) = sqrt(GM / p) (e sin nu, 1 + e cos nu).
//!
//! Source: Murray and Dermott, Solar System Dynamics (1999), section 2.8.

use rand::Rng as _;
use rand_pcg::Pcg64;

use super::{Body, System};

/// The smallest and the largest distance from the Sun on any orbit, in AU.
const INNER: f64 = 2.1;
const OUTER: f64 = 3.3;
const ECCENTRICITY: f64 = 0.05;
const SIN_INCLINATION: f64 = 0.1;
/// The GM of an asteroid as a fraction of the Sun's.
const MASS: f64 = 1e-15;
/// Cosine and sine of the obliquity of the ecliptic at J2000, 23.4392911 degrees.
const OBLIQUITY: (f64, f64) = (0.917_482_062_146_320_9, 0.397_777_155_753_990_6);
/// Selects a sequence of the generator. Any number works, but each gives another belt.
const STREAM: u128 = 0x6265_6c74;

/// A belt of `n` asteroids of 1e-15 solar masses around `sun`, named `asteroid-000001` and so on.
///
/// The orbits stay between 2.1 and 3.3 AU; eccentricities are up to 0.05, and inclinations to the
/// ecliptic up to 5.7 degrees. Positions and velocities are equatorial, as those of an
/// [`Ephemeris`](super::Ephemeris), and relative to the same origin as those of `sun`.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Ephemeris, belt::asteroid_belt};
///
/// let sun = Ephemeris::De421.initial_conditions(Bodies::Emb).body(0);
/// let belt = asteroid_belt(1000, 42, &sun);
/// assert_eq!(belt.names[999], "asteroid-001000");
/// assert_eq!(belt.body(7), asteroid_belt(8, 42, &sun).body(7));
/// ```
#[must_use]
pub fn asteroid_belt(n: usize, seed: u64, sun: &Body) -> System {
    let mut draws = Draws(Pcg64::new(u128::from(seed), STREAM));
    (1..=n).map(|k| asteroid(k, &mut draws, sun)).collect()
}

fn asteroid(k: usize, draws: &mut Draws, sun: &Body) -> Body {
    let e = ECCENTRICITY * draws.uniform();
    // The perihelion is not within the belt's inner edge, nor the aphelion beyond its outer one.
    let (nearest, farthest) = (INNER / (1.0 - e), OUTER / (1.0 + e));
    let a = nearest + (farthest - nearest) * draws.uniform();
    let sin_i = SIN_INCLINATION * draws.uniform();
    let orbit = Orientation {
        node: draws.direction(),
        perihelion: draws.direction(),
        inclination: ((1.0 - sin_i * sin_i).sqrt(), sin_i),
    };
    let (cos_nu, sin_nu) = draws.direction();

    let gm = MASS * sun.gm;
    let p = a * (1.0 - e * e);
    let r = p / (1.0 + e * cos_nu);
    let v = ((sun.gm + gm) / p).sqrt();
    Body {
        name: format!("asteroid-{k:06}"),
        gm,
        position: sum(sun.position, orbit.equatorial(r * cos_nu, r * sin_nu)),
        velocity: sum(sun.velocity, orbit.equatorial(-v * sin_nu, v * (e + cos_nu))),
    }
}

/// The orientation of an orbit in the ecliptic frame: three angles, each as its cosine and sine.
struct Orientation {
    node: (f64, f64),
    perihelion: (f64, f64),
    inclination: (f64, f64),
}

impl Orientation {
    /// Turns a vector of the orbital plane, whose x axis points to the perihelion, into the
    /// equatorial frame.
    fn equatorial(&self, x: f64, y: f64) -> [f64; 3] {
        let (x, y) = rotate(self.perihelion, x, y);
        let (y, z) = rotate(self.inclination, y, 0.0);
        let (x, y) = rotate(self.node, x, y);
        let (y, z) = rotate(OBLIQUITY, y, z);
        [x, y, z]
    }
}

fn rotate((cos, sin): (f64, f64), x: f64, y: f64) -> (f64, f64) {
    (cos * x - sin * y, sin * x + cos * y)
}

fn sum(a: [f64; 3], b: [f64; 3]) -> [f64; 3] {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

struct Draws(Pcg64);

impl Draws {
    /// A number in [0, 1): the upper 53 bits of the next word.
    fn uniform(&mut self) -> f64 {
        const TWO_TO_53: f64 = (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 / TWO_TO_53
    }

    /// The cosine and sine of an angle that is uniform over the circle.
    fn direction(&mut self) -> (f64, f64) {
        cos_sin(self.uniform())
    }
}

/// The cosine and sine of `turns` full turns, computed from sums and products alone.
fn cos_sin(turns: f64) -> (f64, f64) {
    let quarter = (4.0 * turns).round();
    let angle = (4.0 * turns - quarter) * std::f64::consts::FRAC_PI_2;
    // |angle| <= pi/4, where the omitted terms of both series are below 1e-18.
    let (mut cos, mut sin) = (1.0, 1.0);
    for k in (1..=8).rev() {
        let m = f64::from(2 * k);
        cos = 1.0 - angle * angle / ((m - 1.0) * m) * cos;
        sin = 1.0 - angle * angle / (m * (m + 1.0)) * sin;
    }
    sin *= angle;
    match quarter as i64 & 3 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nbody::{Bodies, Ephemeris};

    fn sun() -> Body {
        Ephemeris::De421.initial_conditions(Bodies::Emb).body(0)
    }

    /// Position and velocity relative to the Sun, turned into the ecliptic frame.
    fn heliocentric(body: &Body) -> ([f64; 3], [f64; 3]) {
        let (sin, cos) = 23.439_291_1_f64.to_radians().sin_cos();
        let turn = |a: [f64; 3], b: [f64; 3]| {
            let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
            [x, cos * y + sin * z, cos * z - sin * y]
        };
        let sun = sun();
        (turn(body.position, sun.position), turn(body.velocity, sun.velocity))
    }

    fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
        a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
    }

    #[test]
    fn orbits_stay_in_the_belt_and_near_the_ecliptic() {
        for body in asteroid_belt(2000, 3, &sun()).bodies() {
            let (x, v) = heliocentric(&body);
            let r = dot(x, x).sqrt();
            assert!((2.1..=3.3).contains(&r), "{} is at {r} AU", body.name);
            let mu = sun().gm + body.gm;
            let a = 1.0 / (2.0 / r - dot(v, v) / mu);
            let h =
                [x[1] * v[2] - x[2] * v[1], x[2] * v[0] - x[0] * v[2], x[0] * v[1] - x[1] * v[0]];
            let e = (1.0 - dot(h, h) / (mu * a)).max(0.0).sqrt();
            assert!(e <= 0.05 + 1e-12);
            assert!(a * (1.0 - e) >= 2.1 - 1e-9 && a * (1.0 + e) <= 3.3 + 1e-9);
            assert!(h[2] / dot(h, h).sqrt() >= 0.99_f64.sqrt() - 1e-12);
        }
    }

    #[test]
    fn a_larger_belt_starts_with_the_smaller_one() {
        let (small, large) = (asteroid_belt(50, 9, &sun()), asteroid_belt(80, 9, &sun()));
        assert!(small.bodies().eq(large.bodies().take(50)));
    }

    #[test]
    fn seeds_make_different_belts() {
        let belts = [0, 1, u64::MAX].map(|seed| asteroid_belt(10, seed, &sun()));
        for i in 0..10 {
            assert_ne!(belts[0].positions.row(i), belts[1].positions.row(i));
            assert_ne!(belts[0].positions.row(i), belts[2].positions.row(i));
        }
    }

    #[test]
    fn the_first_asteroid_is_pinned_to_the_bit() {
        let first = asteroid_belt(1, 1, &sun()).body(0);
        assert_eq!(first.position, [-1.2958089145780296, 2.2228544479948447, 1.0785770978088118]);
        assert_eq!(
            first.velocity,
            [-0.009095496752517836, -0.004597471474813605, -0.0012791316422793787]
        );
    }

    #[test]
    fn directions_agree_with_the_sine_and_cosine() {
        for k in 0..1000 {
            let turns = f64::from(k) / 1000.0;
            let (sin, cos) = (turns * std::f64::consts::TAU).sin_cos();
            let ours = cos_sin(turns);
            assert!((ours.0 - cos).abs() < 1e-15 && (ours.1 - sin).abs() < 1e-15);
        }
    }
}
