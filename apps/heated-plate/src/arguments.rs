//! The arguments of the program.

use std::path::PathBuf;

use app_support::Failure;
use app_support::backend::Common;
use app_support::values::{count_to, finite, positive};
use app_support::{destination, fixed_cells};
use clap::{Parser, ValueEnum};
use ndarray::Array2;
use sims::plate::heat::{LARGEST_RATIO, Mode};
use sims::plate::{Method, Plate};

use crate::start::Start;

/// The default number of cells along a side.
const DEFAULT_CELLS: usize = 700;
/// The largest number of cells along a side; memory limits it long before.
const MOST_CELLS: usize = 1 << 40;
/// The default bound on the error, in kelvin.
const DEFAULT_TOLERANCE: f64 = 0.001;
/// The default temperature of the hot side, and of the cells of a mask.
const DEFAULT_HOT: f64 = 100.0;
/// The largest absolute temperature; squares of temperatures must not overflow when summed.
const HOTTEST: f64 = 1e100;
/// The largest number of half waves along a side.
const MOST_WAVES: usize = 1_000_000;
/// The largest number of steps, 2^53: steps are counted in floating-point numbers.
const MOST_STEPS: f64 = 9_007_199_254_740_992.0;

/// The temperature of a plate whose sides, and the cells of a mask, are held at fixed temperatures.
#[derive(Debug, Parser)]
#[command(name = "heated-plate", version)]
pub(crate) struct Arguments {
    /// Interior cells along x [default: 700, or those of the mask]
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_CELLS>)]
    nx: Option<usize>,
    /// Interior cells along y [default: 700, or those of the mask]
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_CELLS>)]
    ny: Option<usize>,
    /// Interior cells along x and y
    #[arg(long, value_name = "N", value_parser = count_to::<MOST_CELLS>, conflicts_with_all = ["nx", "ny"])]
    size: Option<usize>,
    /// Temperature of the side of the last row [default: 100, or 0 with --initial]
    #[arg(long, value_name = "T", value_parser = temperature)]
    top: Option<f64>,
    /// Temperature of the side of the first row
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 0.0)]
    bottom: f64,
    /// Temperature of the side of the first column
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 0.0)]
    left: f64,
    /// Temperature of the side of the last column
    #[arg(long, value_name = "T", value_parser = temperature, default_value_t = 0.0)]
    right: f64,
    /// Cells held at fixed temperatures: .png (white is held, black free) or .npy (numbers are
    /// temperatures, NaN is free)
    #[arg(long, value_name = "FILE")]
    mask: Option<PathBuf>,
    /// Temperature of the white or true cells of the mask [default: 100]
    #[arg(long, value_name = "T", value_parser = temperature)]
    mask_temperature: Option<f64>,
    /// Method that finds the steady temperatures [default: multigrid; jacobi with --sweeps]
    #[arg(long, value_enum)]
    method: Option<Name>,
    /// Stop after M sweeps, cycles of multigrid, or steps of the heat equation
    #[arg(long, value_name = "M", value_parser = count_to::<{ usize::MAX }>)]
    sweeps: Option<usize>,
    /// Stop when no temperature can be wrong by more than K [default: 0.001]
    #[arg(long, value_name = "K", value_parser = positive, conflicts_with = "sweeps")]
    tolerance: Option<f64>,
    /// Run the heat equation to this time, on a plate whose shorter side has length 1
    #[arg(long, value_name = "T", value_parser = positive, conflicts_with_all = ["method", "tolerance", "sweeps"])]
    time: Option<f64>,
    /// Heat equation: time step over the square of the distance between cells, up to 0.25 [default:
    /// 0.25]
    #[arg(long, value_name = "R", value_parser = ratio, conflicts_with_all = ["method", "tolerance"])]
    ratio: Option<f64>,
    /// Heat equation: waves at the start, sum of C sin(K pi x) sin(L pi y)
    #[arg(long, value_name = "K:L:C;...", value_parser = waves, conflicts_with_all = ["method", "tolerance"])]
    initial: Option<Waves>,
    /// File for the temperatures: .npy, shape (ny + 2, nx + 2), sides included
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// File for a heat map: .png [default: heated-plate.png, if neither --output nor --quiet nor
    /// --json is given]
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}
/// The methods that the user can choose.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Name {
    /// Each sweep replaces every temperature by the mean of its neighbours
    Jacobi,
    /// Sweeps that use the newest temperatures and over-relax them (red-black, optimal factor)
    Sor,
    /// Jacobi sweeps that are over-relaxed by an optimal, changing factor
    Chebyshev,
    /// Corrections from coarser and coarser plates: a few cycles for any size
    Multigrid,
}

/// The initial waves of a plate, in fractions of its sides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Waves(pub(crate) Vec<Mode>);

/// The computation that the arguments ask for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Computation {
    /// The steady temperatures, found by `way` until `stop`.
    Steady { way: Way, stop: Stop },
    /// `steps` steps of the heat equation; the time of each is `ratio` times the square of the
    /// distance between cells.
    Heat { steps: usize, ratio: f64 },
}

/// The method for the steady temperatures.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Sweeps(Method),
    /// Cycles of multigrid.
    Cycles,
}

impl Computation {
    /// The method's name, as the user types it where there is a choice.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Heat { .. } | Self::Steady { way: Way::Sweeps(Method::Heat { .. }), .. } => {
                "heat equation"
            }
            Self::Steady { way: Way::Sweeps(Method::Jacobi), .. } => "jacobi",
            Self::Steady { way: Way::Sweeps(Method::Sor), .. } => "sor",
            Self::Steady { way: Way::Sweeps(Method::Chebyshev), .. } => "chebyshev",
            Self::Steady { way: Way::Cycles, .. } => "multigrid",
        }
    }
}

/// The condition under which a computation stops.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// After this many sweeps or cycles.
    Sweeps(usize),
    /// When the bound on the error is below this many kelvin.
    Tolerance(f64),
}

impl Arguments {
    /// The initial state of the run.
    pub(crate) fn start(&self) -> Result<Start, Failure> {
        if let (None, Some(temperature)) = (&self.mask, self.mask_temperature) {
            return Err(Failure::usage(format!(
                "--mask-temperature {temperature}: needs --mask FILE"
            )));
        }
        let full = self.mask_temperature.unwrap_or(DEFAULT_HOT);
        let read = |path: &PathBuf| fixed_cells::read("--mask", path, full);
        let mask = self.mask.as_ref().map(read).transpose()?;
        let (rows, columns) = mask.as_ref().map_or((DEFAULT_CELLS, DEFAULT_CELLS), Array2::dim);
        let hot = if self.initial.is_some() { 0.0 } else { DEFAULT_HOT };
        let plate = Plate {
            nx: self.nx.or(self.size).unwrap_or(columns),
            ny: self.ny.or(self.size).unwrap_or(rows),
            top: self.top.unwrap_or(hot),
            bottom: self.bottom,
            left: self.left,
            right: self.right,
        };
        let fit = |(cells, path): (_, &PathBuf)| {
            let refuse = |reason| {
                Failure::usage(format!("--mask {}: {reason} ({})", path.display(), self.size()))
            };
            fixed_cells::fit(cells, (plate.nx, plate.ny)).map_err(refuse)
        };
        let held = mask.zip(self.mask.as_ref()).map(fit).transpose()?;
        let waves = self.initial.clone().map_or_else(Vec::new, |waves| waves.0);
        Start::new(plate, held, waves, self.size())
    }

    /// The computation that the arguments ask for.
    pub(crate) fn work(&self, plate: &Plate) -> Result<Computation, Failure> {
        if self.time.is_none() && self.ratio.is_none() && self.initial.is_none() {
            let way = match (self.method, self.sweeps) {
                (Some(Name::Jacobi), _) | (None, Some(_)) => Way::Sweeps(Method::Jacobi),
                (Some(Name::Sor), _) => Way::Sweeps(Method::Sor),
                (Some(Name::Chebyshev), _) => Way::Sweeps(Method::Chebyshev),
                (Some(Name::Multigrid), _) | (None, None) => Way::Cycles,
            };
            let stop = match (self.sweeps, self.tolerance) {
                (Some(sweeps), _) => Stop::Sweeps(sweeps),
                (None, tolerance) => Stop::Tolerance(tolerance.unwrap_or(DEFAULT_TOLERANCE)),
            };
            return Ok(Computation::Steady { way, stop });
        }
        let ratio = self.ratio.unwrap_or(LARGEST_RATIO);
        if let Some(steps) = self.sweeps {
            return Ok(Computation::Heat { steps, ratio });
        }
        let time = self.time.ok_or_else(|| {
            let given =
                self.ratio.map_or("--initial".to_owned(), |ratio| format!("--ratio {ratio}"));
            Failure::usage(format!(
                "{given}: needs --time T or --sweeps M to say how long (see --help)"
            ))
        })?;
        // The steps have equal length, at most that of the ratio, and end at the given time.
        let unit = plate.spacing().powi(2);
        let steps = (time / (ratio * unit) * (1.0 - f64::EPSILON)).ceil().max(1.0);
        if steps > MOST_STEPS {
            return Err(Failure::usage(format!(
                "--time {time:e}: must be a run of at most 2^53 steps"
            )));
        }
        Ok(Computation::Heat { steps: steps as usize, ratio: time / (steps * unit) })
    }

    /// The file for the heat map: the one that was asked for, or a default one for a run without
    /// `--output`, `--quiet` and `--json`.
    pub(crate) fn image(&self) -> Option<PathBuf> {
        let plain = self.output.is_none() && self.common.shows_progress();
        self.image.clone().or_else(|| plain.then(|| "heated-plate.png".into()))
    }

    /// The options that determine the size of the plate, as they were given.
    fn size(&self) -> String {
        let given = [("--size", self.size), ("--nx", self.nx), ("--ny", self.ny)];
        let given = given.into_iter().filter_map(|(option, n)| Some(format!("{option} {}", n?)));
        let mask = self.mask.as_ref().map(|path| format!("--mask {}", path.display()));
        let given: Vec<_> = given.collect();
        match mask {
            _ if !given.is_empty() => given.join(" "),
            Some(mask) => mask,
            None => format!("--size {DEFAULT_CELLS}"),
        }
    }

    /// Checks that the output files can be written, before anything is computed.
    pub(crate) fn check_outputs(&self) -> Result<(), Failure> {
        let image = self.image();
        destination::check_all(&[
            ("--output", self.output.as_deref()),
            ("--image", image.as_deref()),
        ])
    }
}

/// Value parser for a ratio at which the steps of the heat equation are stable.
fn ratio(text: &str) -> Result<f64, String> {
    positive(text).ok().filter(|ratio| *ratio <= LARGEST_RATIO).ok_or_else(|| {
        format!(
            "must be a number above 0 and at most {LARGEST_RATIO}: with more the steps are unstable"
        )
    })
}

fn waves(text: &str) -> Result<Waves, String> {
    let wave = |text: &str| {
        let mut parts = text.split(':');
        let (k, l, c) = (parts.next()?, parts.next()?, parts.next()?);
        let number = |text: &str| count_to::<MOST_WAVES>(text).ok();
        let mode = Mode { k: number(k)?, l: number(l)?, amplitude: temperature(c).ok()? };
        parts.next().is_none().then_some(mode)
    };
    let waves: Option<Vec<_>> = text.trim().trim_end_matches(';').split(';').map(wave).collect();
    waves.map(Waves).ok_or_else(|| {
        format!(
            "must be waves K:L:C;..., K and L whole numbers from 1 to {MOST_WAVES}, C a temperature"
        )
    })
}

fn temperature(text: &str) -> Result<f64, String> {
    finite(text)
        .ok()
        .filter(|t| t.abs() <= HOTTEST)
        .ok_or_else(|| format!("must be a number from {:e} to {HOTTEST:e}", -HOTTEST))
}
