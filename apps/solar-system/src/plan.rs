//! The plan of a run: the arguments, with their defaults filled in.
//!
//! The results of a run depend on the plan alone. The times of the samples are part of it, whether
//! or not a file needs them: an adaptive method ends a step at each sample, which changes the last
//! digits of the results.

use app_support::Failure;
use sims::nbody::{Bodies, Ephemeris, Integrator, System, belt};

use crate::arguments::{Arguments, Earth, Law, Method, Source};

/// Days in a Julian year.
const YEAR: f64 = 365.25;
/// The default length of a run in years.
const DEFAULT_YEARS: f64 = 1.0;
/// The default number of samples of a trajectory, and the largest number of positions in all of
/// them together.
const SAMPLES: usize = 500;
const PLACES: usize = 20_000_000;
/// The default days between samples for an adaptive method, which are some ten steps, so that
/// samples hardly shorten the steps.
const SPACING: f64 = 12.0;
/// The largest number of steps that can be counted exactly.
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

/// The division of a run into steps and samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Equal steps, and a sample after every `every` of them.
    Fixed { steps: usize, every: usize },
    /// Steps chosen by the method for an accuracy, and samples at equal times.
    Adaptive { accuracy: f64, samples: usize },
}

impl Plan {
    /// The plan for the arguments.
    pub(crate) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let integrator = integrator(arguments);
        let name = integrator.name();
        // The default steps of the simple methods are too long for the Moon's orbit.
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

    /// The initial bodies.
    pub(crate) fn system(&self, arguments: &Arguments) -> System {
        let planets = self.ephemeris.initial_conditions(self.bodies);
        let asteroids = belt::asteroid_belt(arguments.asteroids, arguments.seed, &planets.body(0));
        planets.join(&asteroids)
    }

    /// Checks that the steps asked for are short enough for the shortest orbit.
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

    /// The number of samples, the initial one included.
    pub(crate) fn samples(&self) -> usize {
        match self.pace {
            Pace::Fixed { steps, every } => steps / every + 1,
            Pace::Adaptive { samples, .. } => samples + 1,
        }
    }

    /// The law of gravity, as a value of `--gravity`.
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

/// The number of samples if the user has not chosen one, limited by the memory that they need.
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
    // A step is some days at most, so a run of this many days has more steps than can be counted.
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

/// A number as a user would type it.
fn short(number: f64) -> String {
    let plain = number == 0.0 || (1e-4..1e15).contains(&number.abs());
    if plain { number.to_string() } else { format!("{number:e}") }
}
