//! The arguments of the program; [`plan`](crate::plan) derives the run from them.

use std::path::PathBuf;

use app_support::Failure;
use app_support::backend::Common;
use app_support::destination;
use app_support::values::{count_to, finite, positive, up_to};
use clap::{Parser, ValueEnum};

/// The default number of asteroids.
const DEFAULT_ASTEROIDS: usize = 2000;
/// The largest number of asteroids; computing time limits it long before memory does.
const MOST_ASTEROIDS: usize = 1_000_000;
/// The largest number of samples; memory limits it long before.
const MOST_SAMPLES: usize = 1_000_000_000;

/// The solar system from the positions and velocities of the planets on 1 January 2000, by gravity
/// alone.
#[derive(Debug, Parser)]
#[command(name = "solar-system", version)]
pub(crate) struct Arguments {
    /// How long to run, in years of 365.25 days; backward if negative [default: 1]
    #[arg(long, value_name = "Y", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) years: Option<f64>,
    /// How long to run, in days; backward if negative
    #[arg(long, value_name = "D", value_parser = finite, allow_negative_numbers = true, conflicts_with = "years")]
    pub(crate) days: Option<f64>,
    /// Method that makes the steps [default: ias15; symplectic8 with --step]
    #[arg(long, value_enum)]
    pub(crate) integrator: Option<Method>,
    /// The longest step of a method of fixed steps, all of equal length [default: 1; 2 for
    /// symplectic8 with --bodies emb]
    #[arg(long, value_name = "DAYS", value_parser = positive)]
    pub(crate) step: Option<f64>,
    /// Accuracy of an adaptive method [default: 1e-9 for ias15; 1e-13 for dop853, the relative
    /// error of a step]
    #[arg(long, value_name = "A", value_parser = positive)]
    pub(crate) accuracy: Option<f64>,
    /// Whether Earth and Moon are two bodies, or one at their barycentre [default: earth-moon; emb
    /// with leapfrog, yoshida4 and hermite4, whose usual steps are too long for the Moon]
    #[arg(long, value_enum)]
    pub(crate) bodies: Option<Earth>,
    /// The law of gravity [default: 1pn with earth-moon; newton with emb, where a missing
    /// quadrupole of Earth and Moon compensates for the missing 1pn]
    #[arg(long, value_enum)]
    pub(crate) gravity: Option<Law>,
    /// Ephemeris that the initial positions and velocities come from
    #[arg(long, value_enum, default_value_t = Source::De421)]
    pub(crate) ephemeris: Source,
    /// Asteroids between Mars and Jupiter, 0 for none
    #[arg(long, value_name = "N", value_parser = up_to::<MOST_ASTEROIDS>, default_value_t = DEFAULT_ASTEROIDS)]
    pub(crate) asteroids: usize,
    /// Seed that selects the asteroids
    #[arg(long, value_name = "S", value_parser = seed, default_value_t = 1)]
    pub(crate) seed: u64,
    /// File for all bodies at the end: .csv, AU and AU/day
    #[arg(long, value_name = "FILE")]
    pub(crate) final_state: Option<PathBuf>,
    /// File for the trajectory: .npy, shape (samples, bodies, 3), AU
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// File for the relative error of the energy at the samples: .csv, days and error
    #[arg(long, value_name = "FILE")]
    pub(crate) energy: Option<PathBuf>,
    /// Samples at equal times after the initial one [default: one in about 12 days, 500 at most;
    /// with methods of fixed steps as --every says]
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_SAMPLES>, conflicts_with = "every")]
    pub(crate) samples: Option<usize>,
    /// Steps from one sample to the next, with methods of fixed steps [default: about 500 samples]
    #[arg(long, value_name = "STEPS", value_parser = count_to::<{ usize::MAX }>)]
    pub(crate) every: Option<usize>,
    /// File for a map of the orbits: .png [default: solar-system.png, if no other file nor --quiet
    /// nor --json is given]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Method {
    /// Order 2, symplectic, one evaluation of the forces a step
    Leapfrog,
    /// Order 4, symplectic, three evaluations a step
    Yoshida4,
    /// Order 8, symplectic, seventeen evaluations a step
    Symplectic8,
    /// Order 4, one evaluation of forces and their rates a step
    Hermite4,
    /// Order 8, adaptive, twelve evaluations a step
    Dop853,
    /// Order 15, adaptive, fifteen to twenty-two evaluations a step
    Ias15,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Earth {
    /// One body at the barycentre of Earth and Moon
    Emb,
    /// Two bodies
    EarthMoon,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Law {
    /// Newton's law
    Newton,
    /// Newton's law, and the Sun's gravity to first order of general relativity
    #[value(name = "1pn")]
    PostNewtonian,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum Source {
    /// JPL's ephemeris of 2008
    De421,
    /// JPL's ephemeris of 2020
    De440,
}

impl Arguments {
    /// Whether the positions of the samples are needed.
    pub(crate) fn wants_trajectory(&self) -> bool {
        self.output.is_some() || self.image().is_some()
    }

    /// The file for the map: the one that was asked for, or a default one for a run without other
    /// files, `--quiet` and `--json`.
    pub(crate) fn image(&self) -> Option<PathBuf> {
        let asked = [&self.output, &self.final_state, &self.energy];
        let plain = asked.iter().all(|file| file.is_none()) && self.common.shows_progress();
        self.image.clone().or_else(|| plain.then(|| "solar-system.png".into()))
    }

    /// Checks that the output files can be written, before anything is computed.
    pub(crate) fn check_outputs(&self) -> Result<(), Failure> {
        let image = self.image();
        destination::check_all(&[
            ("--final-state", self.final_state.as_deref()),
            ("--output", self.output.as_deref()),
            ("--energy", self.energy.as_deref()),
            ("--image", image.as_deref()),
        ])
    }
}

fn seed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("must be a whole number from 0 to {}", u64::MAX))
}
