//! A program that moves the planets and a belt of asteroids under their mutual gravity, on a farm.
//!
//! `cargo run --release --bin solar-system -- --help`

mod arguments;
mod date;
mod plan;
mod trajectory;

use std::time::Instant;

use app_support::arguments::parse;
use app_support::backend::{Backend, Common, default_workers};
use app_support::checksum::Checksum;
use app_support::exit::finish;
use app_support::orbits::orbits;
use app_support::progress::Progress;
use app_support::{Failure, json, output, signals, summary};
use farm_core::{Farm, FarmError, Stats};
use serde::Serialize;
use sims::SimError;
use sims::nbody::{Forces, OnFarm, PostNewtonian, Simulation, System, ephemeris, kepler};

use crate::arguments::Arguments;
use crate::plan::{Pace, Plan};
use crate::trajectory::{EnergyError, Trajectory};

/// The JSON object that `--json` prints.
#[derive(Serialize)]
struct Report {
    backend: &'static str,
    workers: usize,
    workers_lost: u64,
    /// How often a task was started again because its worker had died.
    retries: u64,
    bodies: usize,
    /// The number of steps taken.
    steps: u64,
    integrator: &'static str,
    gravity: &'static str,
    ephemeris: &'static str,
    /// The number of times that the forces on all bodies were computed.
    evaluations: u64,
    /// Whether the bodies were so few that the program computed the forces without workers.
    inline: bool,
    /// The relative difference between the initial and the final total energy.
    energy_error: f64,
    seconds: f64,
    /// Ordered pairs of bodies whose attraction was computed, per second.
    interactions_per_second: f64,
    /// SHA-256 of the positions, then the velocities, body by body, as little-endian bytes.
    checksum: String,
}

/// The final state of a run.
struct Arrival<'a> {
    system: System,
    trajectory: Option<Trajectory>,
    energy: EnergyError<'a>,
    steps: u64,
    evaluations: u64,
    inline: bool,
    seconds: f64,
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
    let plan = Plan::new(arguments)?;
    let start = plan.system(arguments);
    plan.check_step(arguments, &start)?;
    let Common { workers, retries, .. } = arguments.common;
    match arguments.common.backend {
        Backend::Mono => {
            run_on(farm_mono::Pool::builder().workers(workers).build(), arguments, plan, &start)
        }
        Backend::Process => run_on(
            farm_process::Pool::builder()
                .workers(workers)
                .retries(retries)
                .pinned(workers == default_workers())
                .build(),
            arguments,
            plan,
            &start,
        ),
        Backend::Rayon => {
            run_on(farm_rayon::Pool::builder().workers(workers).build(), arguments, plan, &start)
        }
    }
}

fn run_on(
    farm: Result<impl Farm, FarmError>,
    arguments: &Arguments,
    plan: Plan,
    start: &System,
) -> Result<(), Failure> {
    let farm = farm.map_err(Failure::run)?;
    let arrival = depart(&farm, arguments, plan, start)?;
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
    if let Some(path) = &arguments.energy {
        output::write_text(path, arrival.energy.table())?;
        written.push(path.clone());
    }
    if let (Some(path), Some(trajectory)) = (arguments.image(), trajectory) {
        let date = date::calendar(ephemeris::EPOCH + plan.days);
        let title = format!("The solar system on {date} TDB");
        let picture = orbits(&system.names, trajectory.view()?, &ellipses(system), &title);
        output::write_png(&path, &picture)?;
        written.push(path);
    }
    let report = report(arguments, plan, &arrival, stats);
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

/// Runs the bodies under the plan's law of gravity.
fn depart<'a>(
    farm: &impl Farm,
    arguments: &Arguments,
    plan: Plan,
    start: &'a System,
) -> Result<Arrival<'a>, Failure> {
    let newton = OnFarm::new(farm, start)
        .map_err(|error| Failure::usage(format!("--asteroids {}: {error}", arguments.asteroids)))?;
    let inline = newton.inline();
    if plan.relativity {
        let gravity = PostNewtonian::new(newton, start);
        travel(gravity, arguments, plan, start, inline)
    } else {
        travel(newton, arguments, plan, start, inline)
    }
}

/// Steps from the start to the end, and takes the samples that are needed.
fn travel<'a>(
    gravity: impl Forces<Error = SimError>,
    arguments: &Arguments,
    plan: Plan,
    start: &'a System,
    inline: bool,
) -> Result<Arrival<'a>, Failure> {
    let mut trajectory = arguments
        .wants_trajectory()
        .then(|| Trajectory::new(arguments, plan.samples(), start.len()))
        .transpose()?;
    let mut energy = EnergyError::new(start, plan.relativity);
    let mut sample = |days: f64, system: &System| {
        if let Some(trajectory) = &mut trajectory {
            trajectory.push(system.positions.view());
        }
        if arguments.energy.is_some() {
            energy.push(days, system);
        }
    };
    sample(0.0, start);
    let started = Instant::now();
    let shown = arguments.common.shows_progress();
    let simulation = match plan.pace {
        Pace::Fixed { steps, every } => {
            let mut simulation = Simulation::new(start.clone(), gravity, plan.integrator);
            let progress = Progress::new("stepping", steps as u64, shown);
            let dt = plan.days / steps.max(1) as f64;
            for step in 1..=steps {
                simulation.step(dt).map_err(Failure::run)?;
                progress.set(step as u64);
                if step.is_multiple_of(every) {
                    sample(plan.days * (step as f64 / steps as f64), simulation.system());
                }
            }
            progress.finish();
            simulation
        }
        Pace::Adaptive { accuracy, samples } => {
            let (start, integrator) = (start.clone(), plan.integrator);
            let mut simulation = Simulation::with_accuracy(start, gravity, integrator, accuracy);
            let progress = Progress::new("stepping", samples as u64, shown);
            for k in 1..=samples {
                let days = plan.days * (k as f64 / samples as f64);
                simulation.advance_to(days, f64::INFINITY).map_err(Failure::run)?;
                progress.set(k as u64);
                sample(days, simulation.system());
            }
            progress.finish();
            simulation
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    let (steps, evaluations) = (simulation.steps(), simulation.evaluations());
    let system = simulation.into_system();
    Ok(Arrival { system, trajectory, energy, steps, evaluations, inline, seconds })
}

/// The present ellipse of each body around the Sun; `None` for the Sun, for asteroids, which are
/// points on the map, and for the Moon, which orbits the Earth.
fn ellipses(system: &System) -> Vec<Option<Vec<[f64; 3]>>> {
    let names = system.names.iter().enumerate();
    names
        .map(|(i, name)| {
            let drawn = i > 0 && name != "moon" && !name.starts_with("asteroid-");
            drawn.then(|| kepler::ellipse(system, i, 0, 720)).flatten()
        })
        .collect()
}

fn report(arguments: &Arguments, plan: Plan, arrival: &Arrival<'_>, stats: Stats) -> Report {
    let Arrival { system, steps, evaluations, inline, seconds, .. } = arrival;
    let bodies = system.len();
    let interactions = (bodies * bodies) as f64 * *evaluations as f64;
    let mut checksum = Checksum::new();
    checksum.update(system.positions.view());
    checksum.update(system.velocities.view());
    Report {
        backend: arguments.common.backend.name(),
        workers: arguments.common.workers,
        workers_lost: stats.workers_lost,
        retries: stats.retried,
        bodies,
        steps: *steps,
        integrator: plan.integrator.name(),
        gravity: plan.gravity(),
        ephemeris: plan.ephemeris.name(),
        evaluations: *evaluations,
        inline: *inline,
        energy_error: arrival.energy.of(system),
        seconds: *seconds,
        interactions_per_second: interactions / seconds,
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
        let Self { backend, workers, bodies, steps, integrator, gravity, seconds, .. } = self;
        let workers = summary::counted(*workers as u64, "worker");
        let millions = self.interactions_per_second / 1e6;
        writeln!(f, "bodies:         {bodies}, from {}", self.ephemeris)?;
        writeln!(f, "gravity:        {gravity}")?;
        let idle = if self.inline { "; so few bodies are computed in line" } else { "" };
        writeln!(f, "pool:           {backend}, {workers}{idle}")?;
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
