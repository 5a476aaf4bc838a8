//! The integrators by name, for programs that let their user choose, and their common trait.

use super::composition::Composition;
use super::dop853::{self, Dop853};
use super::hermite4::Hermite4;
use super::ias15::{self, Ias15};
use super::leapfrog::Leapfrog;
use super::{Forces, State, symplectic8, yoshida4};

/// A method that advances a system in time.
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
    /// All integrators, from the simplest to the most accurate.
    pub const ALL: [Self; 6] = [
        Self::Leapfrog,
        Self::Yoshida4,
        Self::Symplectic8,
        Self::Hermite4,
        Self::Dop853,
        Self::Ias15,
    ];

    /// The integrator's name in lower case, such as `leapfrog`.
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

    /// The default accuracy of an adaptive method; the method's module defines its meaning. `None`
    /// if the method has steps of fixed length.
    #[must_use]
    pub fn accuracy(self) -> Option<f64> {
        match self {
            Self::Dop853 => Some(dop853::ACCURACY),
            Self::Ias15 => Some(ias15::ACCURACY),
            _ => None,
        }
    }

    /// A stepper for this integrator, before its first step. Methods of fixed steps ignore the
    /// accuracy.
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

/// An integrator applied to one system, with the data of the last steps.
pub trait Stepper<F: Forces> {
    /// Advances the bodies by one step towards `dt` days from now, and returns the length of the
    /// step in days.
    ///
    /// A method of fixed steps goes all of `dt`. An adaptive method goes as far as its accuracy
    /// allows, and never beyond `dt`.
    ///
    /// # Errors
    ///
    /// [`Halt`]; the step is then partly done.
    fn step(&mut self, state: &mut State, forces: &mut F, dt: f64) -> Result<f64, Halt<F::Error>>;
}

/// The reason that a step was not completed.
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
