//! Gravitating point masses: their state, their forces and their motion.
//!
//! The frame is ICRF/J2000 (equatorial), with its origin at the solar-system barycentre. The units
//! are AU and days, and masses are given as GM in AU^3/day^2, so the gravitational constant appears
//! nowhere.
//!
//! [`Ephemeris`] and [`belt`] make a [`System`]. [`gravity`] computes its accelerations, and
//! [`relativity`] adds the Sun's relativistic term. A [`Simulation`] moves the system by an
//! [`Integrator`], which calls [`Forces`]; serial and parallel runs differ only in the implementor
//! of that trait. [`energy`] measures how well the conserved quantities were kept.
//!
//! ```
//! use sims::nbody::{Bodies, Ephemeris, Integrator, Serial, Simulation};
//!
//! let start = Ephemeris::De421.initial_conditions(Bodies::Emb);
//! let before = start.total_energy();
//! let gravity = Serial::new(&start);
//! let mut simulation = Simulation::new(start, gravity, Integrator::Leapfrog);
//! for _day in 0..100 {
//!     simulation.step(1.0)?;
//! }
//! let after = simulation.system().total_energy();
//! assert!(((after - before) / before).abs() < 3e-6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod adaptive;
pub mod belt;
pub mod composition;
pub mod dop853;
mod dop853_tableau;
pub mod driver;
pub mod energy;
pub mod ephemeris;
pub mod forces;
pub mod gravity;
pub mod hermite4;
pub mod ias15;
pub mod integrator;
pub mod kepler;
mod kick;
pub mod leapfrog;
pub mod relativity;
pub mod serial;
pub mod simulation;
pub mod stability;
pub mod state;
pub mod symplectic8;
pub mod system;
mod vector;
pub mod yoshida4;

pub use driver::OnFarm;
pub use ephemeris::{Bodies, Ephemeris};
pub use forces::Forces;
pub use integrator::Integrator;
pub use relativity::PostNewtonian;
pub use serial::Serial;
pub use simulation::{Simulation, Stopped};
pub use state::State;
pub use system::{Body, InvalidSystem, System};
