//! A rectangular plate whose four sides are held at fixed temperatures, on its way to the steady state.
//!
//! Laplace's equation on nx x ny square cells: in the end each temperature is the mean of its four neighbours.
//!
//! [`Plate`] says what there is, and [`Mask`] which cells are held besides; [`exact`] is what all methods lead to. [`laplacian`](laplacian()) sweeps rows
//! once, and [`norms`] adds up what they report. [`Relaxation`] makes many sweeps on a farm, by the [`Method`] that it is given, and the steps of the
//! [heat equation](heat) too; [`Multigrid`] needs but a few cycles.
//!
//! The change of one sweep is *not* the error: Jacobi changes little long before it is done. [`ErrorBound`] bounds the error of any
//! temperatures; [`Plate::error_factor`] does it for Jacobi's from the change of a sweep, and is far too careful:
//!
//! ```
//! use ndarray::s;
//! use sims::plate::{Plate, laplacian, norms};
//!
//! let plate = Plate { nx: 30, ny: 20, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
//! let mut old = plate.initial();
//! let mut new = plate.initial();
//! let mut bound = f64::INFINITY;
//! while bound > 1e-6 {
//!     let rows = laplacian(old.view(), new.slice_mut(s![1..=plate.ny, ..]));
//!     std::mem::swap(&mut old, &mut new);
//!     bound = norms(rows.into_iter()).l2 * plate.error_factor();
//! }
//! assert!((old[[20, 15]] - sims::plate::exact::temperature(&plate, 15, 20)).abs() < 1e-6);
//! ```

pub mod bound;
pub mod driver;
pub mod exact;
pub mod grid;
pub mod heat;
pub mod laplacian;
pub mod mask;
pub mod method;
pub mod multigrid;
mod pass;
mod rows;
mod wavefront;

pub use bound::{ErrorBound, floor};
pub use driver::Relaxation;
pub use grid::Plate;
pub use laplacian::{RowUpdate, Update, laplacian, norms};
pub use mask::{Mask, MaskError};
pub use method::Method;
pub use multigrid::Multigrid;
