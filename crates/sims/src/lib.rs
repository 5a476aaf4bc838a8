//! The physics that the farm computes: kernels that know nothing of pools, and drivers that spread
//! the kernels over a pool.
//!
//! | module | contents |
//! |---|---|
//! | [`nbody`] | gravitating bodies: DE421 and DE440 initial conditions, a seeded asteroid belt, pair forces, integrators, energy |
//! | [`plate`] | a plate with four sides of fixed temperature: sweeps and multigrid, norms, a bound on the error, the exact solution |
//!
//! A kernel is a function of array views. It cuts its sums in places that the *problem* fixes
//! (source tiles, rows), never where the caller happened to cut the work. So a result has the same
//! bits whether one process computes it or eight do.

mod error;
pub mod nbody;
pub mod plate;

pub use error::SimError;

/// Runs the example of the README as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
