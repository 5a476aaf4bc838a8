//! What can be asked of the program.

use std::path::PathBuf;

use app_support::Failure;
use app_support::backend::Common;
use app_support::destination;
use app_support::values::{count_to, finite, positive};
use clap::{Parser, ValueEnum};
use sims::plate::Plate;

/// Cells along a side where nothing else is said.
const DEFAULT_CELLS: usize = 150;
/// The most cells along a side; memory ends long before.
const MOST_CELLS: usize = 1 << 40;
/// The bound on the error, in kelvin, where nothing else is said.
const DEFAULT_TOLERANCE: f64 = 1.0;
/// Temperatures whose squares can still be added up.
const HOTTEST: f64 = 1e100;

/// The steady temperature of a plate whose four sides are held at fixed temperatures.
#[derive(Debug, Parser)]
#[command(name = "heated-plate", version)]
pub(crate) struct Arguments {
    /// Interior cells along x [default: 150]
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_CELLS>)]
    nx: Option<usize>,
    /// Interior cells along y [default: 150]
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_CELLS>)]
    ny: Option<usize>,
    /// Interior cells along both
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_CELLS>, conflicts_with_all = ["nx", "ny"])]
    size: Option<usize>,
    /// Temperature of the side of the last row
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 100.0)]
    top: f64,
    /// Temperature of the side of the first row
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 0.0)]
    bottom: f64,
    /// Temperature of the side of the first column
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 0.0)]
    left: f64,
    /// Temperature of the side of the last column
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 0.0)]
    right: f64,
    /// How the temperatures are found
    #[arg(long, value_enum, default_value_t = Method::Jacobi)]
    method: Method,
    /// Stop after M sweeps
    #[arg(long, value_name = "M", value_parser = count_to::<{ usize::MAX }>)]
    sweeps: Option<usize>,
    /// Stop when no temperature can be wrong by more than K [default: 1]
    #[arg(long, value_name = "K", value_parser = positive, conflicts_with = "sweeps")]
    tolerance: Option<f64>,
    /// File for the temperatures: .npy, shape (ny + 2, nx + 2), sides included
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// File for a heat map: .png [default: heated-plate.png, if neither --output nor --quiet nor --json is given]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// How the temperatures are found.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Method {
    /// Each sweep replaces every temperature by the mean of its neighbours
    Jacobi,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// After so many sweeps.
    Sweeps(usize),
    /// When the bound on the error is below this many kelvin.
    Tolerance(f64),
}

impl Arguments {
    pub(crate) fn plate(&self) -> Plate {
        let cells = |side: Option<usize>| side.or(self.size).unwrap_or(DEFAULT_CELLS);
        Plate {
            nx: cells(self.nx),
            ny: cells(self.ny),
            top: self.top,
            bottom: self.bottom,
            left: self.left,
            right: self.right,
        }
    }

    pub(crate) fn stop(&self) -> Stop {
        match (self.sweeps, self.tolerance) {
            (Some(sweeps), _) => Stop::Sweeps(sweeps),
            (None, tolerance) => Stop::Tolerance(tolerance.unwrap_or(DEFAULT_TOLERANCE)),
        }
    }

    /// A plain run leaves a picture behind; a script gets what it asks for.
    pub(crate) fn image(&self) -> Option<PathBuf> {
        let plain = self.output.is_none() && self.common.shows_progress();
        self.image.clone().or_else(|| plain.then(|| "heated-plate.png".into()))
    }

    /// The options that say how large the plate is, as they were given.
    pub(crate) fn size_options(&self) -> String {
        let given = [("--size", self.size), ("--nx", self.nx), ("--ny", self.ny)];
        let given = given.into_iter().filter_map(|(option, n)| Some(format!("{option} {}", n?)));
        let given: Vec<_> = given.collect();
        if given.is_empty() { format!("--size {DEFAULT_CELLS}") } else { given.join(" ") }
    }

    /// Whether the output files can be written, before anything is computed.
    pub(crate) fn check_outputs(&self) -> Result<(), Failure> {
        let image = self.image();
        destination::check_all(&[
            ("--output", self.output.as_deref()),
            ("--image", image.as_deref()),
        ])
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    finite(text)
        .ok()
        .filter(|t| t.abs() <= HOTTEST)
        .ok_or_else(|| format!("must be a number from {:e} to {HOTTEST:e}", -HOTTEST))
}
