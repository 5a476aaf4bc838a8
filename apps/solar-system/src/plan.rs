//! What a run is: the arguments, and what follows where they say nothing.
//!
//! A run's results depend on the plan alone. So the times of samples are part of it, whether or not a file wants
//! them: an adaptive method lands on them, and its last digits know.

use app_support::Failure;
use sims::nbody::{Bodies, Ephemeris, Integrator, System, belt};

use crate::arguments::{Arguments, Earth, Law, Method, Source};

/// Days in a Julian year.
const YEAR: f64 = 365.25;
/// Years where nothing else is said.
const DEFAULT_YEARS: f64 = 1.0;
/// Samples of a trajectory where nothing else is said, and the most places in all of them.
const SAMPLES: usize = 500;
const PLACES: usize = 20_000_000;
/// Days from one sample to the next where an adaptive method is not to be hindered: some ten steps.
const SPACING: f64 = 12.0;
/// The most steps that a run can count exactly.
const MOST_STEPS: f64 = 9_007_199_254_740_992.0;

/// A run, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) integrator: Integrator,
    pub(crate) relativity: bool,
    pub(crate) ephemeris: Ephemeris,
    bodies: Bodies,
    /// Days from the start to the end; negative for a run backward.
    pub(crate) days: f64,
    pub(crate) pace: Pace,
}

/// How a run is cut into steps and samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Equal steps, and a sample every so many of them.
    Fixed { steps: usize, every: usize },
    /// Steps as the method finds them for an accuracy, and samples at equal times.
    Adaptive { accuracy: f64, samples: usize },
}

impl Plan {
    /// The plan that the arguments ask for.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let integrator = integrator(arguments);
        let name = integrator.name();
        // Short steps follow the Moon; long ones do not.
        let simple = matches!(
            integrator,
            Integrator::Leapfrog | Integrator::Yoshida4 | Integrator::Hermite4
        );
        let bodies = match arguments.bodies {
            Some(Earth::Emb) => Bodies::Emb,
            Some(Earth::EarthMoon) => Bodies::EarthMoon,
            None if simple => Bodies::Emb,
            None => Bodies::EarthMoon,
        };
        let relativity = match arguments.gravity {
            Some(law) => law == Law::PostNewtonian,
            None => bodies == Bodies::EarthMoon,
        };
        let ephemeris = match arguments.ephemeris {
            Source::De421 => Ephemeris::De421,
            Source::De440 => Ephemeris::De440,
        };
        let days =
            arguments.days.unwrap_or_else(|| arguments.years.unwrap_or(DEFAULT_YEARS) * YEAR);
        let pace = match integrator.accuracy() {
            Some(usual) => {
                if let Some(step) = arguments.step {
                    return Err(Failure::usage(format!(
                        "--step {}: {name} chooses its steps; say --accuracy, or take a method of fixed steps such as \
                         --integrator symplectic8",
                        short(step)
                    )));
                }
                if let Some(every) = arguments.every {
                    return Err(Failure::usage(format!(
                        "--every {every}: {name} chooses its steps; say --samples"
                    )));
                }
                adaptive(arguments, usual, days)?
            }
            None => {
                if let Some(accuracy) = arguments.accuracy {
                    return Err(Failure::usage(format!(
                        "--accuracy {}: {name} takes fixed steps; say --step, or take an adaptive method such as \
                         --integrator ias15",
                        short(accuracy)
                    )));
                }
                let eight = integrator == Integrator::Symplectic8 && bodies == Bodies::Emb;
                let step = arguments.step.unwrap_or(if eight { 2.0 } else { 1.0 });
                fixed(arguments, step, days)?
            }
        };
        Ok(Self { integrator, relativity, ephemeris, bodies, days, pace })
    }

    /// The bodies at the start.
    pub(crate) fn system(&self, arguments: &Arguments) -> System {
        let planets = self.ephemeris.initial_conditions(self.bodies);
        let asteroids = belt::asteroid_belt(arguments.asteroids, arguments.seed, &planets.body(0));
        planets.join(&asteroids)
    }

    /// Whether the steps asked for are short enough for the shortest orbit.
    pub(crate) fn check_step(&self, arguments: &Arguments, start: &System) -> Result<(), Failure> {
        let Some(step) = arguments.step else { return Ok(()) };
        match self.integrator.longest_step(start) {
            Some(bound) if step >= bound.days => Err(Failure::usage(format!(
                "--step {}: must be below {:.1} days, where {} becomes unstable: {} goes round in {:.1} days",
                short(step),
                bound.days,
                self.integrator.name(),
                bound.body,
                bound.period
            ))),
            _ => Ok(()),
        }
    }

    /// Samples, that of the start included.
    pub(crate) fn samples(&self) -> usize {
        match self.pace {
            Pace::Fixed { steps, every } => steps / every + 1,
            Pace::Adaptive { samples, .. } => samples + 1,
        }
    }

    /// The law of gravity, as `--gravity` has it.
    pub(crate) fn gravity(&self) -> &'static str {
        if self.relativity { "1pn" } else { "newton" }
    }
}

fn integrator(arguments: &Arguments) -> Integrator {
    match arguments.integrator {
        Some(Method::Leapfrog) => Integrator::Leapfrog,
        Some(Method::Yoshida4) => Integrator::Yoshida4,
        Some(Method::Symplectic8) => Integrator::Symplectic8,
        Some(Method::Hermite4) => Integrator::Hermite4,
        Some(Method::Dop853) => Integrator::Dop853,
        Some(Method::Ias15) => Integrator::Ias15,
        None if arguments.step.is_some() => Integrator::Symplectic8,
        None => Integrator::Ias15,
    }
}

/// Samples that fit into some memory where the user has not said how many.
fn usual_samples(arguments: &Arguments) -> usize {
    (PLACES / (arguments.asteroids + 11)).clamp(1, SAMPLES)
}

fn adaptive(arguments: &Arguments, usual: f64, days: f64) -> Result<Pace, Failure> {
    let accuracy = arguments.accuracy.unwrap_or(usual);
    let allowed = usual / 10.0..=1e-3;
    if !allowed.contains(&accuracy) {
        return Err(Failure::usage(format!(
            "--accuracy {}: must be from {:e} to {:e}; what is less is lost in rounding",
            short(accuracy),
            allowed.start(),
            allowed.end()
        )));
    }
    // No other step is as long as these days; a run has more steps.
    if days.abs() > MOST_STEPS {
        return Err(too_long(arguments, days, None));
    }
    let spaced = (days.abs() / SPACING).ceil() as usize;
    let samples = arguments.samples.unwrap_or(spaced.min(usual_samples(arguments)));
    Ok(Pace::Adaptive { accuracy, samples })
}

fn fixed(arguments: &Arguments, step: f64, days: f64) -> Result<Pace, Failure> {
    let steps = (days.abs() / step).ceil();
    if steps > MOST_STEPS || !days.is_finite() {
        return Err(too_long(arguments, days, Some(step)));
    }
    if let Some(samples) = arguments.samples {
        let every = (days.abs() / samples as f64 / step).ceil() as usize;
        return match every.checked_mul(samples).filter(|steps| *steps as f64 <= MOST_STEPS) {
            Some(steps) => Ok(Pace::Fixed { steps, every: every.max(1) }),
            None => Err(too_long(arguments, days, Some(step))),
        };
    }
    let steps = steps as usize;
    let every = arguments.every.unwrap_or_else(|| steps.div_ceil(usual_samples(arguments)).max(1));
    Ok(Pace::Fixed { steps, every })
}

fn too_long(arguments: &Arguments, days: f64, step: Option<f64>) -> Failure {
    let span = match (arguments.days, arguments.years) {
        (Some(days), _) => format!("--days {}", short(days)),
        (None, Some(years)) => format!("--years {}", short(years)),
        (None, None) => format!("--days {}", short(days)),
    };
    let step = step.map_or(String::new(), |step| format!(" --step {}", short(step)));
    Failure::usage(format!("{span}{step}: must be a run of at most 2^53 steps"))
}

/// A number as it may have been typed.
fn short(number: f64) -> String {
    let plain = number == 0.0 || (1e-4..1e15).contains(&number.abs());
    if plain { number.to_string() } else { format!("{number:e}") }
}
