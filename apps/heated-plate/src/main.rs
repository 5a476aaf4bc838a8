//! The steady temperature of a plate whose four sides are held at fixed temperatures, found by Jacobi
//! sweeps on a farm.
//!
//! `cargo run --release --bin heated-plate -- --help`

mod arguments;
mod solve;

use app_support::arguments::parse;
use app_support::backend::{Backend, Common};
use app_support::checksum::checksum;
use app_support::exit::finish;
use app_support::heat_map::heat_map;
use app_support::{Failure, json, output, signals, summary};
use farm_core::{Farm, FarmError, Stats};
use serde::Serialize;
use sims::SimError;
use sims::plate::{Jacobi, Plate};

use crate::arguments::Arguments;
use crate::solve::{Solution, solve};

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    backend: &'static str,
    workers: usize,
    workers_lost: u64,
    /// How often a task was started again because its worker had died.
    retries: u64,
    nx: usize,
    ny: usize,
    sweeps: usize,
    /// K.
    last_update_linf: f64,
    /// K.
    last_update_l2: f64,
    /// K.
    error_bound: f64,
    seconds: f64,
    /// Million cells updated in a second.
    mlups: f64,
    /// SHA-256 of the temperatures, row by row, as little-endian bytes.
    checksum: String,
}

fn main() {
    farm_process::init();
    finish(run(&parse()));
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check_outputs()?;
    // Workers end with the program; what is in shared memory and in the folder for temporary files
    // would not.
    signals::on_stop(|| {
        farm_shm::remove_all();
        farm_process::prepare_exit();
    })?;
    let plate = arguments.plate();
    let jacobi = Jacobi::new(&plate).map_err(|error| match error {
        SimError::Memory(error) => Failure::usage(format!("{}: {error}", arguments.size_options())),
        other => Failure::run(other),
    })?;
    let Common { workers, retries, .. } = arguments.common;
    match arguments.common.backend {
        Backend::Mono => {
            run_on(farm_mono::Pool::builder().workers(workers).build(), arguments, plate, jacobi)
        }
        Backend::Process => run_on(
            farm_process::Pool::builder().workers(workers).retries(retries).build(),
            arguments,
            plate,
            jacobi,
        ),
        Backend::Rayon => {
            run_on(farm_rayon::Pool::builder().workers(workers).build(), arguments, plate, jacobi)
        }
    }
}

fn run_on(
    farm: Result<impl Farm, FarmError>,
    arguments: &Arguments,
    plate: Plate,
    jacobi: Jacobi,
) -> Result<(), Failure> {
    let farm = farm.map_err(Failure::run)?;
    let shows_progress = arguments.common.shows_progress();
    let solution = solve(&farm, &plate, jacobi, arguments.stop(), shows_progress)?;
    let stats = farm.stats();
    farm.shutdown();

    let report = report(arguments, &plate, &solution, stats);
    let temperatures = solution.jacobi.temperatures();
    if let Some(path) = &arguments.output {
        output::write_npy(path, temperatures)?;
    }
    let image = arguments.image();
    if let Some(path) = &image {
        let title = format!("{} x {} cells after {} sweeps", plate.nx, plate.ny, report.sweeps);
        output::write_png(path, &heat_map(temperatures, &title))?;
    }
    if arguments.common.json {
        json::print(&report)?;
    } else if !arguments.common.quiet {
        summary::print(&report);
        for path in arguments.output.iter().chain(&image) {
            summary::print(format_args!("written:        {}", path.display()));
        }
    }
    Ok(())
}

fn report(arguments: &Arguments, plate: &Plate, solution: &Solution, stats: Stats) -> Report {
    let updates = plate.nx as f64 * plate.ny as f64 * solution.sweeps as f64;
    Report {
        backend: arguments.common.backend.name(),
        workers: arguments.common.workers,
        workers_lost: stats.workers_lost,
        retries: stats.retried,
        nx: plate.nx,
        ny: plate.ny,
        sweeps: solution.sweeps,
        last_update_linf: solution.update.linf,
        last_update_l2: solution.update.l2,
        error_bound: solution.error_bound,
        seconds: solution.seconds,
        mlups: updates / solution.seconds / 1e6,
        checksum: checksum(solution.jacobi.temperatures()),
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { backend, workers, nx, ny, sweeps, seconds, mlups, .. } = self;
        let workers = summary::counted(*workers as u64, "worker");
        writeln!(f, "plate:          {nx} x {ny} cells")?;
        writeln!(f, "pool:           {backend}, {workers}")?;
        if let Some(losses) = summary::losses(self.workers_lost, self.retries) {
            writeln!(f, "{losses}")?;
        }
        writeln!(
            f,
            "sweeps:         {sweeps} in {seconds:.2} s, {mlups:.0} million cells a second"
        )?;
        writeln!(f, "last change:    {:.2e} K at most in a cell", self.last_update_linf)?;
        if self.error_bound > 0.0 {
            writeln!(f, "error:          below {:.2e} K everywhere", self.error_bound)?;
        } else {
            writeln!(f, "error:          that of rounding: the last sweep has changed nothing")?;
        }
        write!(f, "checksum:       {}", self.checksum)
    }
}
