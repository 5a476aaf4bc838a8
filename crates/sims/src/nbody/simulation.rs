//! A simulation: bodies, their gravity and an integrator.
//!
//! Positions and velocities are in the caller's memory, even if a farm computes the forces. They
//! are checked after each step: a value that is not finite stops the run at that step, and the
//! error names the body. Two bodies at one place are found when the forces are computed, before any
//! value is lost.

use ndarray::{ArrayView2, ArrayViewMut2};
use thiserror::Error;

use super::adaptive::about_to_meet;
use super::integrator::{Halt, Stepper};
use super::state::two_sum;
use super::system::first_at_one_place;
use super::{Forces, Integrator, InvalidSystem, State, System};

/// A system that moves through time.
///
/// # Examples
///
/// ```
/// use sims::nbody::{Bodies, Ephemeris, Integrator, Serial, Simulation};
///
/// let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
/// let gravity = Serial::new(&start);
/// let mut simulation = Simulation::new(start, gravity, Integrator::Yoshida4);
/// simulation.advance_to(-365.25, 0.5)?;
/// assert_eq!((simulation.steps(), simulation.time()), (731, -365.25));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Simulation<F: Forces> {
    state: State,
    forces: Watched<F>,
    integrator: Integrator,
    stepper: Box<dyn Stepper<Watched<F>>>,
    /// Days since the start, and the rounding error of that sum.
    time: (f64, f64),
    steps: u64,
}

impl<F: Forces> Simulation<F> {
    /// A simulation of a system at time 0, with the default accuracy of its integrator.
    #[must_use]
    pub fn new(system: System, forces: F, integrator: Integrator) -> Self {
        let accuracy = integrator.accuracy().unwrap_or(0.0);
        Self::with_accuracy(system, forces, integrator, accuracy)
    }

    /// A simulation of a system at time 0, with the given accuracy for an adaptive integrator; an
    /// integrator of fixed steps ignores it.
    #[must_use]
    pub fn with_accuracy(system: System, forces: F, integrator: Integrator, accuracy: f64) -> Self {
        Self {
            state: State::new(system),
            forces: Watched { forces, evaluations: 0 },
            integrator,
            stepper: integrator.stepper(accuracy),
            time: (0.0, 0.0),
            steps: 0,
        }
    }

    /// The system at the present time.
    #[must_use]
    pub fn system(&self) -> &System {
        self.state.system()
    }

    /// Returns the system.
    #[must_use]
    pub fn into_system(self) -> System {
        self.state.into_system()
    }

    /// The implementation of the forces.
    #[must_use]
    pub fn forces(&self) -> &F {
        &self.forces.forces
    }

    /// The integrator that advances the system.
    #[must_use]
    pub fn integrator(&self) -> Integrator {
        self.integrator
    }

    /// Days since the start; negative after going back.
    #[must_use]
    pub fn time(&self) -> f64 {
        self.time.0
    }

    /// The number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The number of times that the forces on all bodies have been computed.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.forces.evaluations
    }

    /// Advances the system by one step, of `dt` days with a method of fixed steps and of at most
    /// `dt` days with an adaptive one. Returns the length of the step in days.
    ///
    /// # Errors
    ///
    /// [`Stopped`]; the state may be wrong after that.
    pub fn step(&mut self, dt: f64) -> Result<f64, Stopped<F::Error>> {
        if self.steps == 0 {
            self.state.system().check().map_err(Stopped::Invalid)?;
        }
        let step = self.steps + 1;
        let done = match self.stepper.step(&mut self.state, &mut self.forces, dt) {
            Ok(done) => done,
            Err(halt) => return Err(self.stopped(halt)),
        };
        self.steps = step;
        let (time, lost) = two_sum(self.time.0, done + self.time.1);
        self.time = (time, lost);
        match self.state.system().first_not_finite() {
            None => Ok(done),
            Some(i) => {
                let body = self.state.system().names[i].clone();
                Err(Stopped::NotFinite { body, step, time })
            }
        }
    }

    /// The reason that the step after the last one failed, with the names of the bodies.
    fn stopped(&self, halt: Halt<Refused<F::Error>>) -> Stopped<F::Error> {
        let (system, step, time) = (self.system(), self.steps + 1, self.time.0);
        let met = match halt {
            Halt::Forces(Refused::Forces(error)) => return Stopped::Forces(error),
            Halt::Forces(Refused::OnePlace(pair)) => Some(pair),
            Halt::TooShort => about_to_meet(system),
        };
        match met.map(|pair| pair.map(|i| system.names[i].clone())) {
            Some([one, other]) => Stopped::Met { one, other, step, time },
            None => Stopped::TooShort { step, time },
        }
    }

    /// Advances the system to a time in days since the start, later or earlier, and ends exactly at
    /// it. No step is longer than `longest` days; the steps of a method of fixed steps are equal.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    ///
    /// # Panics
    ///
    /// If `longest` is not above zero.
    pub fn advance_to(&mut self, time: f64, longest: f64) -> Result<(), Stopped<F::Error>> {
        assert!(longest > 0.0, "the longest step is {longest} days");
        let left = |now: (f64, f64)| (time - now.0) - now.1;
        if self.integrator.accuracy().is_some() {
            loop {
                let left = left(self.time);
                if left == 0.0 || self.step(left.clamp(-longest, longest))? == left {
                    break;
                }
            }
        } else {
            let steps = (left(self.time).abs() / longest).ceil();
            let dt = left(self.time) / steps.max(1.0);
            for _ in 0..steps as u64 {
                self.step(dt)?;
            }
        }
        self.time = (time, 0.0);
        Ok(())
    }
}

/// The reason that a run has stopped before its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Stopped<E> {
    /// The forces could not be computed.
    #[error("{0}")]
    Forces(E),
    /// The initial system is not valid.
    #[error(transparent)]
    Invalid(InvalidSystem),
    /// The position or velocity of a body is not finite any more.
    #[error(
        "step {step} has left {body} without a finite place or velocity, {time} days from the start"
    )]
    NotFinite {
        /// The first such body.
        body: String,
        /// The step that caused it, counted from 1.
        step: u64,
        /// Days from the start after that step.
        time: f64,
    },
    /// Two bodies have come to one place, if only in a trial within the step, or too close to each
    /// other for the shortest step of an adaptive method.
    #[error("{one} and {other} have met in step {step}, {time} days from the start")]
    Met {
        /// The first of them.
        one: String,
        /// The other.
        other: String,
        /// The step, counted from 1.
        step: u64,
        /// Days from the start before that step.
        time: f64,
    },
    /// An adaptive method finds no step that is short enough, though no two bodies are about to
    /// meet.
    #[error(
        "step {step} has become too short to go on, {time} days from the start: ask for less accuracy"
    )]
    TooShort {
        /// The step, counted from 1.
        step: u64,
        /// Days from the start before that step.
        time: f64,
    },
}

/// Forces that are counted, and checked for bodies that have met.
struct Watched<F> {
    forces: F,
    evaluations: u64,
}

/// The reason that there are no forces.
enum Refused<E> {
    /// They could not be computed.
    Forces(E),
    /// The two bodies with these indices are at one place.
    OnePlace([usize; 2]),
}

impl<F: Forces> Forces for Watched<F> {
    type Error = Refused<F::Error>;

    fn attraction(
        &mut self,
        positions: ArrayView2<f64>,
        mut out: ArrayViewMut2<f64>,
    ) -> Result<(), Self::Error> {
        self.evaluations += 1;
        self.forces.attraction(positions, out.view_mut()).map_err(Refused::Forces)?;
        apart(positions, out.view())
    }

    fn accelerations_and_jerks(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        mut accelerations: ArrayViewMut2<f64>,
        jerks: ArrayViewMut2<f64>,
    ) -> Result<(), Self::Error> {
        self.evaluations += 1;
        self.forces
            .accelerations_and_jerks(positions, velocities, accelerations.view_mut(), jerks)
            .map_err(Refused::Forces)?;
        apart(positions, accelerations.view())
    }

    fn has_corrections(&self) -> bool {
        self.forces.has_corrections()
    }

    fn add_corrections(
        &self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        out: ArrayViewMut2<f64>,
    ) {
        self.forces.add_corrections(positions, velocities, out);
    }
}

/// Looks for bodies at one place if an acceleration is not finite. The accelerations of such bodies
/// are not finite in any direction.
fn apart<E>(positions: ArrayView2<f64>, accelerations: ArrayView2<f64>) -> Result<(), Refused<E>> {
    // One component is enough, and costs little beside the pairs even for the planets alone.
    if accelerations.column(0).iter().all(|a| a.is_finite()) {
        return Ok(());
    }
    first_at_one_place(positions).map_or(Ok(()), |pair| Err(Refused::OnePlace(pair)))
}
