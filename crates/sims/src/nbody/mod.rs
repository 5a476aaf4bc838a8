//! Gravitating point masses: what there is, how it pulls and how it moves.
//!
//! Frame ICRF/J2000 (equatorial), origin at the solar-system barycentre; AU, days, and GM in AU^3/day^2, so that the
//! gravitational constant appears nowhere. Gravity is Newton's.
//!
//! [`de421`] and [`belt`] make a [`System`]; [`gravity`] gives its accelerations; an [`Integrator`] moves whatever
//! implements [`Dynamics`], which is where serial and parallel runs differ; [`energy`] tells how well it went.
//!
//! ```
//! use sims::nbody::{Bodies, Integrator, Serial, de421};
//!
//! # fn main() -> Result<(), std::convert::Infallible> {
//! let mut state = Serial::new(de421::initial_conditions(Bodies::Emb));
//! let before = state.system().total_energy();
//! for _day in 0..100 {
//!     Integrator::Leapfrog.step(&mut state, 1.0)?;
//! }
//! let after = state.system().total_energy();
//! assert!(((after - before) / before).abs() < 3e-6);
//! # Ok(())
//! # }
//! ```

pub mod belt;
pub mod de421;
pub mod driver;
pub mod dynamics;
pub mod energy;
pub mod gravity;
pub mod integrator;
pub mod leapfrog;
pub mod serial;
pub mod system;
pub mod yoshida4;

pub use de421::Bodies;
pub use driver::OnFarm;
pub use dynamics::Dynamics;
pub use integrator::Integrator;
pub use serial::Serial;
pub use system::{Body, System};
