//! The positions of the bodies during the run, and the error of their energy.

use std::cell::OnceCell;

use app_support::Failure;
use ndarray::{ArrayView2, ArrayView3};
use sims::nbody::{System, relativity};

use crate::arguments::Arguments;

/// Positions at the samples: (samples, bodies, 3), AU.
pub(crate) struct Trajectory {
    bodies: usize,
    positions: Vec<f64>,
}

impl Trajectory {
    /// An empty trajectory with memory for `samples` samples.
    pub(crate) fn new(
        arguments: &Arguments,
        samples: usize,
        bodies: usize,
    ) -> Result<Self, Failure> {
        let mut positions = Vec::new();
        let numbers = samples.checked_mul(3 * bodies);
        numbers.and_then(|n| positions.try_reserve_exact(n).ok()).ok_or_else(|| {
            let asked = match (arguments.every, arguments.samples) {
                (Some(every), _) => format!("--every {every}"),
                (None, Some(samples)) => format!("--samples {samples}"),
                (None, None) => format!("--asteroids {}", arguments.asteroids),
            };
            Failure::usage(format!(
                "{asked}: a trajectory of {samples} samples of {bodies} bodies does not fit into memory; sample less \
                 often"
            ))
        })?;
        Ok(Self { bodies, positions })
    }

    /// Adds a sample, of shape (bodies, 3).
    pub(crate) fn push(&mut self, positions: ArrayView2<'_, f64>) {
        self.positions.extend(positions.iter());
    }

    pub(crate) fn view(&self) -> Result<ArrayView3<'_, f64>, Failure> {
        let samples = self.positions.len() / (3 * self.bodies);
        ArrayView3::from_shape((samples, self.bodies, 3), &self.positions).map_err(Failure::run)
    }
}

/// G times the energy that the law of gravity conserves.
fn energy(system: &System, with_relativity: bool) -> f64 {
    let (x, v) = (system.positions.view(), system.velocities.view());
    let more = if with_relativity { relativity::energy(system.gm.view(), x, v) } else { 0.0 };
    system.total_energy() + more
}

/// The relative error of the energy at the samples.
pub(crate) struct EnergyError<'a> {
    start: &'a System,
    /// The initial energy. It is computed only when it is needed, because it takes some time for
    /// many bodies.
    first: OnceCell<f64>,
    relativity: bool,
    table: String,
}

impl<'a> EnergyError<'a> {
    pub(crate) fn new(start: &'a System, relativity: bool) -> Self {
        let table = "t_d,energy_error\n".to_owned();
        Self { start, first: OnceCell::new(), relativity, table }
    }

    /// The relative difference of the system's energy from the initial one.
    pub(crate) fn of(&self, system: &System) -> f64 {
        let first = self.first.get_or_init(|| energy(self.start, self.relativity));
        ((energy(system, self.relativity) - first) / first).abs()
    }

    /// Adds a sample at `days` days from the start.
    pub(crate) fn push(&mut self, days: f64, system: &System) {
        let error = self.of(system);
        self.table.push_str(&format!("{days:?},{error:?}\n"));
    }

    /// The samples as comma-separated values.
    pub(crate) fn table(&self) -> &str {
        &self.table
    }
}
