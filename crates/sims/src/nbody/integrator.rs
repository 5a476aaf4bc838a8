//! The integrators by name, for programs that let their user choose, and what they have in common.

use super::composition::Composition;
use super::leapfrog::Leapfrog;
use super::{Forces, State, yoshida4};

/// A way to advance a system in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Integrator {
    /// Order 2, one evaluation a step: see [`leapfrog`](super::leapfrog).
    Leapfrog,
    /// Order 4, three evaluations a step: see [`yoshida4`].
    Yoshida4,
}

impl Integrator {
    /// All of them, from the simplest up.
    pub const ALL: [Self; 2] = [Self::Leapfrog, Self::Yoshida4];

    /// Its name in lower case, such as `leapfrog`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leapfrog => "leapfrog",
            Self::Yoshida4 => "yoshida4",
        }
    }

    /// The integrator at work, before its first step.
    pub(crate) fn stepper<F: Forces>(self) -> Box<dyn Stepper<F>> {
        match self {
            Self::Leapfrog => Box::new(Leapfrog::default()),
            Self::Yoshida4 => Box::new(Composition::new(&yoshida4::WEIGHTS)),
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
