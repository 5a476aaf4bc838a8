//! What can be asked of the program.

use std::path::PathBuf;

use app_support::Failure;
use app_support::backend::Common;
use app_support::destination;
use app_support::values::{count_to, finite, positive, up_to};
use clap::{Parser, ValueEnum};
use sims::nbody::{Bodies, Integrator, System, belt, de421};

/// Days in a Julian year.
const YEAR: f64 = 365.25;
/// Years where nothing else is said.
const DEFAULT_YEARS: f64 = 3.0;
/// Asteroids where nothing else is said.
const DEFAULT_ASTEROIDS: usize = 2000;
/// The most asteroids; time ends long before memory.
const MOST_ASTEROIDS: usize = 1_000_000;
/// Samples of a trajectory where nothing else is said, and the most places in all of them.
const SAMPLES: usize = 500;
const PLACES: usize = 20_000_000;
/// The most steps that a run can count exactly.
const MOST_STEPS: f64 = 9_007_199_254_740_992.0;

/// The solar system from the planets' places and speeds on 1 January 2000, by Newton's gravity.
#[derive(Debug, Parser)]
#[command(name = "solar-system", version)]
pub(crate) struct Arguments {
    /// How long to run, in years of 365.25 days; backward if negative [default: 3]
    #[arg(long, value_name = "Y", value_parser = finite, allow_negative_numbers = true)]
    years: Option<f64>,
    /// How long to run, in days; backward if negative
    #[arg(long, value_name = "D", value_parser = finite, allow_negative_numbers = true, conflicts_with = "years")]
    days: Option<f64>,
    /// The longest step; the run ends exactly on time with steps of equal length
    #[arg(long, value_name = "DAYS", value_parser = positive, default_value_t = 1.0)]
    step: f64,
    /// How a step is made
    #[arg(long, value_enum, default_value_t = Method::Leapfrog)]
    integrator: Method,
    /// Whether Earth and Moon are two bodies, or one at their barycentre
    #[arg(long, value_enum, default_value_t = Earth::Emb)]
    bodies: Earth,
    /// Asteroids between Mars and Jupiter, 0 for none
    #[arg(long, value_name = "N", value_parser = up_to::<MOST_ASTEROIDS>, default_value_t = DEFAULT_ASTEROIDS)]
    pub(crate) asteroids: usize,
    /// Which asteroids
    #[arg(long, value_name = "S", value_parser = seed, default_value_t = 1)]
    seed: u64,
    /// File for all bodies at the end: .csv, AU and AU/day
    #[arg(long, value_name = "FILE")]
    pub(crate) final_state: Option<PathBuf>,
    /// File for the trajectory: .npy, shape (samples, bodies, 3), AU
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Steps from one sample of the trajectory to the next [default: about 500 samples]
    #[arg(long, value_name = "STEPS", value_parser = count_to::<{ usize::MAX }>)]
    every: Option<usize>,
    /// File for a map of the orbits: .png [default: solar-system.png, if no other file nor --quiet nor --json is given]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Method {
    /// Order 2, one evaluation of the forces a step
    Leapfrog,
    /// Order 4, three evaluations of the forces a step
    Yoshida4,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Earth {
    /// One body at the barycentre of Earth and Moon
    Emb,
    /// Two bodies
    EarthMoon,
}

/// How a run is cut into steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    /// Days from the start to the end; negative for a run backward.
    pub(crate) days: f64,
    pub(crate) steps: usize,
    /// Steps from one sample to the next.
    pub(crate) every: usize,
}

impl Schedule {
    /// Days in a step.
    pub(crate) fn step(&self) -> f64 {
        self.days / self.steps.max(1) as f64
    }

    /// Samples of a trajectory, that of the start included.
    pub(crate) fn samples(&self) -> usize {
        self.steps / self.every + 1
    }
}

impl Arguments {
    /// The bodies at the start.
    pub(crate) fn system(&self) -> System {
        let planets = de421::initial_conditions(match self.bodies {
            Earth::Emb => Bodies::Emb,
            Earth::EarthMoon => Bodies::EarthMoon,
        });
        let asteroids = belt::asteroid_belt(self.asteroids, self.seed, &planets.body(0));
        planets.join(&asteroids)
    }

    pub(crate) fn integrator(&self) -> Integrator {
        match self.integrator {
            Method::Leapfrog => Integrator::Leapfrog,
            Method::Yoshida4 => Integrator::Yoshida4,
        }
    }

    /// The steps of a run of so many bodies.
    pub(crate) fn schedule(&self, bodies: usize) -> Result<Schedule, Failure> {
        let days = self.days.unwrap_or_else(|| self.years.unwrap_or(DEFAULT_YEARS) * YEAR);
        let steps = (days.abs() / self.step).ceil();
        if steps > MOST_STEPS || !days.is_finite() {
            let span = match (self.days, self.years) {
                (Some(days), _) => format!("--days {}", short(days)),
                (None, years) => format!("--years {}", short(years.unwrap_or(DEFAULT_YEARS))),
            };
            return Err(Failure::usage(format!(
                "{span} --step {}: must be a run of at most 2^53 steps",
                short(self.step)
            )));
        }
        let steps = steps as usize;
        let samples = (PLACES / bodies).clamp(1, SAMPLES);
        let every = self.every.unwrap_or_else(|| steps.div_ceil(samples).max(1));
        Ok(Schedule { days, steps, every })
    }

    /// Whether the places on the way are wanted.
    pub(crate) fn wants_trajectory(&self) -> bool {
        self.output.is_some() || self.image().is_some()
    }

    /// A plain run leaves a picture behind; a script gets what it asks for.
    pub(crate) fn image(&self) -> Option<PathBuf> {
        let plain =
            self.output.is_none() && self.final_state.is_none() && self.common.shows_progress();
        self.image.clone().or_else(|| plain.then(|| "solar-system.png".into()))
    }

    /// Whether the output files can be written, before anything is computed.
    pub(crate) fn check_outputs(&self) -> Result<(), Failure> {
        let image = self.image();
        destination::check_all(&[
            ("--final-state", self.final_state.as_deref()),
            ("--output", self.output.as_deref()),
            ("--image", image.as_deref()),
        ])
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("must be a whole number from 0 to {}", u64::MAX))
}

/// A number as it may have been typed.
fn short(number: f64) -> String {
    let plain = number == 0.0 || (1e-4..1e15).contains(&number.abs());
    if plain { number.to_string() } else { format!("{number:e}") }
}
