//! The integrators by name, for programs that let their user choose, and what they have in common.

use super::composition::Composition;
use super::dop853::{self, Dop853};
use super::hermite4::Hermite4;
use super::ias15::{self, Ias15};
use super::leapfrog::Leapfrog;
use super::{Forces, State, symplectic8, yoshida4};

/// A way to advance a system in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Integrator {
    /// Order 2, symplectic, one evaluation a step: see [`leapfrog`](super::leapfrog).
    Leapfrog,
    /// Order 4, symplectic, three evaluations a step: see [`yoshida4`].
    Yoshida4,
    /// Order 8, symplectic, seventeen evaluations a step: see [`symplectic8`].
    Symplectic8,
    /// Order 4, one evaluation with jerks a step: see [`hermite4`](super::hermite4).
    Hermite4,
    /// Order 8, adaptive, twelve evaluations a step: see [`dop853`].
    Dop853,
    /// Order 15, adaptive, about fifteen evaluations a step: see [`ias15`].
    Ias15,
}

impl Integrator {
    /// All of them, from the simplest up.
    pub const ALL: [Self; 6] = [
        Self::Leapfrog,
        Self::Yoshida4,
        Self::Symplectic8,
        Self::Hermite4,
        Self::Dop853,
        Self::Ias15,
    ];

    /// Its name in lower case, such as `leapfrog`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leapfrog => "leapfrog",
            Self::Yoshida4 => "yoshida4",
            Self::Symplectic8 => "symplectic8",
            Self::Hermite4 => "hermite4",
            Self::Dop853 => "dop853",
            Self::Ias15 => "ias15",
        }
    }

    /// The accuracy of an adaptive method where nothing else is said; what it means is in the method's own words.
    /// `None` if the length of the steps is fixed.
    #[must_use]
    pub fn accuracy(self) -> Option<f64> {
        match self {
            Self::Dop853 => Some(dop853::ACCURACY),
            Self::Ias15 => Some(ias15::ACCURACY),
            _ => None,
        }
    }

    /// The integrator at work, before its first step. Methods of fixed steps have no use for an accuracy.
    pub(crate) fn stepper<F: Forces>(self, accuracy: f64) -> Box<dyn Stepper<F>> {
        match self {
            Self::Leapfrog => Box::new(Leapfrog::default()),
            Self::Yoshida4 => Box::new(Composition::new(&yoshida4::WEIGHTS)),
            Self::Symplectic8 => Box::new(Composition::new(&symplectic8::WEIGHTS)),
            Self::Hermite4 => Box::new(Hermite4::default()),
            Self::Dop853 => Box::new(Dop853::new(accuracy)),
            Self::Ias15 => Box::new(Ias15::new(accuracy)),
        }
    }
}

/// An integrator at work on one system, with what it remembers of the last steps.
pub trait Stepper<F: Forces> {
    /// Advances the bodies by one step towards `dt` days from now, and returns the days that it has gone.
    ///
    /// A method of fixed steps goes all of `dt`; an adaptive one as far as its accuracy allows, and never beyond.
    ///
    /// # Errors
    ///
    /// [`Halt`]; the step is then partly done.
    fn step(&mut self, state: &mut State, forces: &mut F, dt: f64) -> Result<f64, Halt<F::Error>>;
}

/// Why a step did not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Halt<E> {
    /// The forces could not be computed.
    Forces(E),
    /// No step is short enough for the accuracy.
    TooShort,
}

impl<E> From<E> for Halt<E> {
    fn from(error: E) -> Self {
        Self::Forces(error)
    }
}
