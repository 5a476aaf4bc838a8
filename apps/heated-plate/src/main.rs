//! A program that computes, on a farm, the temperature of a plate whose sides and masked cells are
//! held at fixed temperatures.
//!
//! `cargo run --release --bin heated-plate -- --help`

mod arguments;
mod solve;
mod start;

use app_support::arguments::parse;
use app_support::backend::{Backend, Common, default_workers};
use app_support::checksum::checksum;
use app_support::exit::finish;
use app_support::heat_map::heat_map;
use app_support::{Failure, json, output, signals, summary};
use farm_core::{Farm, FarmError, Stats};
use serde::Serialize;
use sims::plate::Plate;

use crate::arguments::{Arguments, Computation};
use crate::solve::{Solution, solve};
use crate::start::Start;

/// The JSON object that `--json` prints.
#[derive(Serialize)]
struct Report {
    backend: &'static str,
    workers: usize,
    workers_lost: u64,
    /// How often a task was started again because its worker had died.
    retries: u64,
    nx: usize,
    ny: usize,
    method: &'static str,
    /// The number of sweeps, cycles of multigrid, or steps of the heat equation.
    sweeps: usize,
    /// In K; multigrid does not measure it.
    last_update_linf: Option<f64>,
    /// In K.
    last_update_l2: Option<f64>,
    /// In K, for the steady temperatures; `None` for the heat equation, or if there was no memory
    /// to compute it.
    error_bound: Option<f64>,
    /// The time that the heat equation has reached.
    time: Option<f64>,
    /// Whether the plate was so small that the program computed it without workers.
    inline: bool,
    seconds: f64,
    /// Million cell updates per second.
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
    // Workers end with the program; shared memory and temporary files would remain.
    signals::on_stop(|| {
        farm_shm::remove_all();
        farm_process::prepare_exit();
    })?;
    let start = arguments.start()?;
    let work = arguments.work(&start.plate)?;
    let Common { workers, retries, .. } = arguments.common;
    match arguments.common.backend {
        Backend::Mono => {
            run_on(farm_mono::Pool::builder().workers(workers).build(), arguments, &start, work)
        }
        Backend::Process => run_on(
            farm_process::Pool::builder()
                .workers(workers)
                .retries(retries)
                .pinned(workers == default_workers())
                .build(),
            arguments,
            &start,
            work,
        ),
        Backend::Rayon => {
            run_on(farm_rayon::Pool::builder().workers(workers).build(), arguments, &start, work)
        }
    }
}

fn run_on(
    farm: Result<impl Farm, FarmError>,
    arguments: &Arguments,
    start: &Start,
    work: Computation,
) -> Result<(), Failure> {
    let farm = farm.map_err(Failure::run)?;
    let solution = solve(&farm, start, work, arguments.common.shows_progress())?;
    let stats = farm.stats();
    farm.shutdown();

    let report = report(arguments, &start.plate, work, &solution, stats);
    let temperatures = solution.temperatures();
    if let Some(path) = &arguments.output {
        output::write_npy(path, temperatures)?;
    }
    let image = arguments.image();
    if let Some(path) = &image {
        output::write_png(path, &heat_map(temperatures, &title(&report)))?;
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

fn report(
    arguments: &Arguments,
    plate: &Plate,
    work: Computation,
    solution: &Solution,
    stats: Stats,
) -> Report {
    let updates = plate.nx as f64 * plate.ny as f64 * solution.sweeps as f64;
    let time = match work {
        Computation::Heat { steps, ratio } => Some(steps as f64 * ratio * plate.spacing().powi(2)),
        Computation::Steady { .. } => None,
    };
    Report {
        backend: arguments.common.backend.name(),
        workers: arguments.common.workers,
        workers_lost: stats.workers_lost,
        retries: stats.retried,
        nx: plate.nx,
        ny: plate.ny,
        method: work.name(),
        sweeps: solution.sweeps,
        last_update_linf: solution.update.map(|update| update.linf),
        last_update_l2: solution.update.map(|update| update.l2),
        error_bound: solution.error_bound,
        time,
        inline: solution.inline,
        seconds: solution.seconds,
        mlups: updates / solution.seconds / 1e6,
        checksum: checksum(solution.temperatures()),
    }
}

fn title(report: &Report) -> String {
    let Report { nx, ny, sweeps, .. } = report;
    let went = counted(*sweeps, report.method);
    match (report.time, report.error_bound) {
        (Some(time), _) => format!("{nx} x {ny} cells at time {time:.4e}"),
        (None, Some(bound)) => format!("{nx} x {ny} cells after {went}, right to {bound:.1e} K"),
        (None, None) => format!("{nx} x {ny} cells after {went}"),
    }
}

/// `3 cycles`, `1 sweep`, `20 steps`.
fn counted(n: usize, method: &str) -> String {
    let thing = match method {
        "multigrid" => "cycle",
        "heat equation" => "step",
        _ => "sweep",
    };
    summary::counted(n as u64, thing)
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { backend, workers, nx, ny, method, sweeps, seconds, mlups, .. } = self;
        let workers = summary::counted(*workers as u64, "worker");
        let idle = if self.inline { ", not asked: the plate is small" } else { "" };
        writeln!(f, "plate:          {nx} x {ny} cells")?;
        writeln!(f, "pool:           {backend}, {workers}{idle}")?;
        if let Some(losses) = summary::losses(self.workers_lost, self.retries) {
            writeln!(f, "{losses}")?;
        }
        let went = counted(*sweeps, method);
        writeln!(
            f,
            "{:<16}{went} in {seconds:.2} s, {mlups:.0} million cells a second",
            format!("{method}:")
        )?;
        if let Some(time) = self.time {
            writeln!(f, "time:           {time:.6e} where the shorter side has length 1")?;
        }
        if let Some(linf) = self.last_update_linf {
            writeln!(f, "last change:    {linf:.2e} K at most in a cell")?;
        }
        if let Some(bound) = self.error_bound {
            writeln!(f, "error:          below {bound:.2e} K everywhere")?;
        }
        write!(f, "checksum:       {}", self.checksum)
    }
}
