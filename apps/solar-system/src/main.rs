//! The planets and a belt of asteroids under their mutual gravity, on a farm.
//!
//! `cargo run --release --bin solar-system -- --help`

mod arguments;
mod trajectory;

use std::time::Instant;

use app_support::arguments::parse;
use app_support::backend::{Backend, Common};
use app_support::checksum::Checksum;
use app_support::exit::finish;
use app_support::orbits::orbits;
use app_support::progress::Progress;
use app_support::{Failure, json, output, signals, summary};
use farm_core::{Farm, FarmError, Stats};
use serde::Serialize;
use sims::nbody::{Integrator, OnFarm, Simulation, System};

use crate::arguments::{Arguments, Schedule};
use crate::trajectory::Trajectory;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    backend: &'static str,
    workers: usize,
    workers_lost: u64,
    /// How often a task was started again because its worker had died.
    retries: u64,
    bodies: usize,
    steps: usize,
    integrator: &'static str,
    /// Relative difference of the total energy between start and end.
    energy_error: f64,
    seconds: f64,
    /// Ordered pairs of bodies whose attraction was computed, in a second.
    interactions_per_second: f64,
    /// SHA-256 of positions, then velocities, body by body, as little-endian bytes.
    checksum: String,
}

/// A system that has arrived.
struct Arrival {
    system: System,
    trajectory: Option<Trajectory>,
    seconds: f64,
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
    let start = arguments.system();
    let schedule = arguments.schedule(start.len())?;
    let Common { workers, retries, .. } = arguments.common;
    match arguments.common.backend {
        Backend::Mono => {
            run_on(farm_mono::Pool::builder().workers(workers).build(), arguments, schedule, &start)
        }
        Backend::Process => run_on(
            farm_process::Pool::builder().workers(workers).retries(retries).build(),
            arguments,
            schedule,
            &start,
        ),
        Backend::Rayon => run_on(
            farm_rayon::Pool::builder().workers(workers).build(),
            arguments,
            schedule,
            &start,
        ),
    }
}

fn run_on(
    farm: Result<impl Farm, FarmError>,
    arguments: &Arguments,
    schedule: Schedule,
    start: &System,
) -> Result<(), Failure> {
    let farm = farm.map_err(Failure::run)?;
    let arrival = travel(&farm, arguments, schedule, start)?;
    let stats = farm.stats();
    farm.shutdown();

    let Arrival { system, trajectory, .. } = &arrival;
    let mut written = Vec::new();
    if let Some(path) = &arguments.final_state {
        output::write_text(path, &table(system))?;
        written.push(path.clone());
    }
    if let (Some(path), Some(trajectory)) = (&arguments.output, trajectory) {
        output::write_npy(path, trajectory.view()?)?;
        written.push(path.clone());
    }
    if let (Some(path), Some(trajectory)) = (arguments.image(), trajectory) {
        let title = format!("The solar system, {:+.1} days from J2000", schedule.days);
        output::write_png(&path, &orbits(&system.names, trajectory.view()?, &title))?;
        written.push(path);
    }
    let report = report(arguments, schedule, start, &arrival, stats);
    if arguments.common.json {
        json::print(&report)?;
    } else if !arguments.common.quiet {
        summary::print(&report);
        for path in written {
            summary::print(format_args!("written:        {}", path.display()));
        }
    }
    Ok(())
}

/// Steps from the start to the end, and takes samples on the way if they are wanted.
fn travel(
    farm: &impl Farm,
    arguments: &Arguments,
    schedule: Schedule,
    start: &System,
) -> Result<Arrival, Failure> {
    let mut trajectory = arguments
        .wants_trajectory()
        .then(|| Trajectory::new(schedule.every, schedule.samples(), start.len()))
        .transpose()?;
    let gravity = OnFarm::new(farm, start)
        .map_err(|error| Failure::usage(format!("--asteroids {}: {error}", arguments.asteroids)))?;
    if let Some(trajectory) = &mut trajectory {
        trajectory.push(start.positions.view());
    }
    let mut simulation = Simulation::new(start.clone(), gravity, arguments.integrator());
    let progress =
        Progress::new("stepping", schedule.steps as u64, arguments.common.shows_progress());
    let started = Instant::now();
    for step in 1..=schedule.steps {
        simulation.step(schedule.step()).map_err(Failure::run)?;
        progress.set(step as u64);
        if let Some(trajectory) = &mut trajectory
            && step.is_multiple_of(schedule.every)
        {
            trajectory.push(simulation.system().positions.view());
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    progress.finish();
    Ok(Arrival { system: simulation.into_system(), trajectory, seconds })
}

fn report(
    arguments: &Arguments,
    schedule: Schedule,
    start: &System,
    arrival: &Arrival,
    stats: Stats,
) -> Report {
    let Schedule { steps, .. } = schedule;
    let integrator = arguments.integrator();
    let evaluations = match integrator {
        // The last evaluation of a step is the first of the next.
        Integrator::Leapfrog if steps > 0 => steps + 1,
        Integrator::Leapfrog => 0,
        Integrator::Yoshida4 => 3 * steps,
    };
    let bodies = start.len();
    let interactions = (bodies * bodies) as f64 * evaluations as f64;
    let (before, after) = (start.total_energy(), arrival.system.total_energy());
    let mut checksum = Checksum::new();
    checksum.update(arrival.system.positions.view());
    checksum.update(arrival.system.velocities.view());
    Report {
        backend: arguments.common.backend.name(),
        workers: arguments.common.workers,
        workers_lost: stats.workers_lost,
        retries: stats.retried,
        bodies,
        steps,
        integrator: integrator.name(),
        energy_error: ((after - before) / before).abs(),
        seconds: arrival.seconds,
        interactions_per_second: interactions / arrival.seconds,
        checksum: checksum.finish(),
    }
}

/// The bodies as comma-separated values, with all digits.
fn table(system: &System) -> String {
    let mut text = "name,x_au,y_au,z_au,vx_au_d,vy_au_d,vz_au_d\n".to_owned();
    for body in system.bodies() {
        text.push_str(&body.name);
        for number in body.position.iter().chain(&body.velocity) {
            text.push_str(&format!(",{number:?}"));
        }
        text.push('\n');
    }
    text
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { backend, workers, bodies, steps, integrator, seconds, .. } = self;
        let workers = summary::counted(*workers as u64, "worker");
        let millions = self.interactions_per_second / 1e6;
        writeln!(f, "bodies:         {bodies}")?;
        writeln!(f, "pool:           {backend}, {workers}")?;
        if let Some(losses) = summary::losses(self.workers_lost, self.retries) {
            writeln!(f, "{losses}")?;
        }
        writeln!(
            f,
            "steps:          {steps} by {integrator} in {seconds:.2} s, \
             {millions:.0} million attractions a second"
        )?;
        writeln!(f, "energy:         kept to {:.1e} of itself", self.energy_error)?;
        write!(f, "checksum:       {}", self.checksum)
    }
}
