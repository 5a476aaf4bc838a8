//! The integrators by name, for programs that let their user choose.

use super::{Dynamics, leapfrog, yoshida4};

/// A way to advance a system in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrator {
    /// Order 2, one evaluation a step: see [`leapfrog`].
    Leapfrog,
    /// Order 4, three evaluations a step: see [`yoshida4`].
    Yoshida4,
}

impl Integrator {
    /// All of them, from the simplest up.
    pub const ALL: [Self; 2] = [Self::Leapfrog, Self::Yoshida4];

    /// Its name in lower case: `leapfrog` or `yoshida4`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leapfrog => "leapfrog",
            Self::Yoshida4 => "yoshida4",
        }
    }

    /// Advances `state` by one step of `dt` days.
    ///
    /// # Errors
    ///
    /// The first error of a kick or drift; the step is then partly done.
    pub fn step<D: Dynamics>(self, state: &mut D, dt: f64) -> Result<(), D::Error> {
        match self {
            Self::Leapfrog => leapfrog::step(state, dt),
            Self::Yoshida4 => yoshida4::step(state, dt),
        }
    }
}
