//! The state of n bodies as arrays, and one body of it as a value.
//!
//! The kernels read the arrays. A [`Body`] is one row of each, to build a system from.

use std::cmp::Ordering;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use thiserror::Error;

use super::vector::row;

/// One gravitating point mass.
///
/// # Units
///
/// `gm` in AU^3/day^2, `position` in AU, `velocity` in AU/day.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The name.
    pub name: String,
    /// Gravitational constant times mass.
    pub gm: f64,
    /// Cartesian coordinates.
    pub position: [f64; 3],
    /// Their rate of change.
    pub velocity: [f64; 3],
}

/// The names, masses, positions and velocities of n bodies.
///
/// It is a collection of [`Body`]: collect into it, [`extend`](Extend::extend) it, or
/// [`join`](System::join) two.
///
/// # Shapes
///
/// All four fields have n rows; code that changes a field must keep it so.
///
/// # Units
///
/// `gm` in AU^3/day^2, `positions` in AU, `velocities` in AU/day.
#[derive(Clone, Debug, PartialEq)]
pub struct System {
    /// The names of the bodies.
    pub names: Vec<String>,
    /// `(n,)`: gravitational constant times mass.
    pub gm: Array1<f64>,
    /// `(n, 3)`: Cartesian coordinates, row-major.
    pub positions: Array2<f64>,
    /// `(n, 3)`: their rates of change, row-major.
    pub velocities: Array2<f64>,
}

impl System {
    /// A system without bodies.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            names: Vec::new(),
            gm: Array1::zeros(0),
            positions: Array2::zeros((0, 3)),
            velocities: Array2::zeros((0, 3)),
        }
    }

    /// The number of bodies.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no bodies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// A copy of body `i`.
    ///
    /// # Panics
    ///
    /// If there is no body `i`.
    #[must_use]
    pub fn body(&self, i: usize) -> Body {
        let row = |array: &Array2<f64>| [array[[i, 0]], array[[i, 1]], array[[i, 2]]];
        Body {
            name: self.names[i].clone(),
            gm: self.gm[i],
            position: row(&self.positions),
            velocity: row(&self.velocities),
        }
    }

    /// Copies of all bodies, in order.
    pub fn bodies(&self) -> impl ExactSizeIterator<Item = Body> + '_ {
        (0..self.len()).map(|i| self.body(i))
    }

    /// Checks that a run can start from the system.
    ///
    /// # Errors
    ///
    /// [`InvalidSystem`], with the first bodies that are invalid.
    pub fn check(&self) -> Result<(), InvalidSystem> {
        let name = |i: usize| self.names[i].clone();
        let no_mass = self.gm.iter().position(|gm| !(gm.is_finite() && *gm >= 0.0));
        if let Some(i) = no_mass.or_else(|| self.first_not_finite()) {
            return Err(InvalidSystem::NoNumber { body: name(i) });
        }
        match first_at_one_place(self.positions.view()) {
            None => Ok(()),
            Some([i, j]) => Err(InvalidSystem::SamePlace { one: name(i), other: name(j) }),
        }
    }

    /// The first body whose position is not finite, or else the first whose velocity is not.
    /// Positions come first because a lost position spoils the velocities of all bodies.
    pub(crate) fn first_not_finite(&self) -> Option<usize> {
        [&self.positions, &self.velocities].into_iter().find_map(|array| {
            let whole = array.iter().all(|x| x.is_finite());
            if whole {
                None
            } else {
                array.rows().into_iter().position(|r| !r.iter().all(|x| x.is_finite()))
            }
        })
    }

    /// The bodies of this system followed by those of `other`.
    ///
    /// # Examples
    ///
    /// ```
    /// use sims::nbody::{Bodies, Ephemeris, belt};
    ///
    /// let planets = Ephemeris::De421.initial_conditions(Bodies::EarthMoon);
    /// let belt = belt::asteroid_belt(100, 1, &planets.body(0));
    /// assert_eq!(planets.join(&belt).len(), 111);
    /// ```
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.extend(other.bodies());
        self
    }
}

/// The first body that has another body at its place, and the next body there. Positions that are
/// not finite are ignored.
///
/// Gravity is not defined for distances below 1e-100 AU. Two coordinates that differ by less are
/// equal, or both are below 1e-84 in size; of the latter, this function treats only those below
/// 1e-100 as 0.
pub(crate) fn first_at_one_place(positions: ArrayView2<f64>) -> Option<[usize; 2]> {
    let place = |i: usize| row(positions, i).map(|x| if x.abs() < 1e-100 { 0.0 } else { x });
    // Bodies at one place are neighbours in the order of the places.
    let mut order: Vec<usize> = (0..positions.nrows()).collect();
    order.retain(|&i| place(i).iter().all(|x| x.is_finite()));
    order.sort_by(|&i, &j| {
        let of_places = place(i).into_iter().zip(place(j)).map(|(a, b)| a.total_cmp(&b));
        of_places.fold(Ordering::Equal, Ordering::then).then(i.cmp(&j))
    });
    let pairs = order.windows(2).filter(|pair| place(pair[0]) == place(pair[1]));
    pairs.min_by_key(|pair| pair[0]).map(|pair| [pair[0], pair[1]])
}

/// The reason that a run cannot start from a system.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSystem {
    /// The mass, position or velocity of a body is not finite, or its mass is below zero.
    #[error("{body} has no finite mass, place or velocity")]
    NoNumber {
        /// The first such body.
        body: String,
    },
    /// Two bodies are at the same place, where their attraction has no limit.
    #[error("{one} and {other} are at the same place")]
    SamePlace {
        /// The first of them.
        one: String,
        /// The next body at that place.
        other: String,
    },
}

impl Extend<Body> for System {
    fn extend<I: IntoIterator<Item = Body>>(&mut self, bodies: I) {
        let (mut gm, mut positions, mut velocities) = (Vec::new(), Vec::new(), Vec::new());
        for body in bodies {
            self.names.push(body.name);
            gm.push(body.gm);
            positions.push(body.position);
            velocities.push(body.velocity);
        }
        append(&mut self.positions, positions);
        append(&mut self.velocities, velocities);
        self.gm
            .append(Axis(0), Array1::from(gm).view())
            .expect("a vector of numbers fits below another");
    }
}

impl FromIterator<Body> for System {
    fn from_iter<I: IntoIterator<Item = Body>>(bodies: I) -> Self {
        let mut system = Self::empty();
        system.extend(bodies);
        system
    }
}

fn append(array: &mut Array2<f64>, rows: Vec<[f64; 3]>) {
    array
        .append(Axis(0), Array2::from(rows).view())
        .expect("rows of three fit below rows of three");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(k: u8) -> Body {
        let k = f64::from(k);
        Body {
            name: format!("body {k}"),
            gm: k,
            position: [k, k + 0.1, k + 0.2],
            velocity: [-k, 1.0 - k, 2.0 - k],
        }
    }

    #[test]
    fn bodies_go_in_and_come_out_in_order() {
        let system: System = (0..5).map(body).collect();
        assert_eq!(system.len(), 5);
        assert!(system.bodies().eq((0..5).map(body)));
        assert!(system.positions.is_standard_layout());
        assert!(system.velocities.is_standard_layout());
    }

    #[test]
    fn bodies_on_top_of_each_other_are_named() {
        let system: System = [3, 1, 4, 2, 5, 1, 4].map(body).into_iter().collect();
        let told = system.check().unwrap_err().to_string();
        assert_eq!(told, "body 1 and body 1 are at the same place");
        let apart: System = (0..5).map(body).collect();
        assert_eq!(apart.check(), Ok(()));
        let zeros = [0.0, -0.0].map(|x| Body { position: [x, 0.0, x], ..body(0) });
        let zeros: System = zeros.into_iter().collect();
        assert!(matches!(zeros.check(), Err(InvalidSystem::SamePlace { .. })));
    }

    #[test]
    fn what_is_no_number_is_named() {
        let lost = Body { velocity: [0.0, f64::NAN, 0.0], ..body(2) };
        let light = Body { gm: -1.0, ..body(2) };
        for wrong in [lost, light] {
            let system: System = [body(1), wrong, body(3)].into_iter().collect();
            let told = system.check().unwrap_err().to_string();
            assert_eq!(told, "body 2 has no finite mass, place or velocity");
        }
    }

    #[test]
    fn joining_appends() {
        let front: System = (0..2).map(body).collect();
        let back: System = (2..5).map(body).collect();
        let whole: System = (0..5).map(body).collect();
        assert_eq!(front.join(&back), whole);
        assert_eq!(whole.clone().join(&System::empty()), whole);
        assert_eq!(System::empty().join(&whole), whole);
    }
}
