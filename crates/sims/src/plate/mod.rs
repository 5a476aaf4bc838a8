//! A rectangular plate whose four sides are held at fixed temperatures, on its way to the steady state.
//!
//! Laplace's equation on nx x ny square cells: each temperature becomes the mean of its four neighbours. A Jacobi sweep
//! does this for all cells from the temperatures of the sweep before.
//!
//! [`Plate`] says what there is; [`laplacian`](laplacian()) sweeps rows; [`norms`] adds up what they report; [`exact`] is
//! where the sweeps lead.
//!
//! The change of one sweep is *not* the error: Jacobi changes little long before it is done. [`Plate::error_factor`]
//! turns the one into a bound on the other.
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
mod rows;
mod wavefront;

pub use bound::{ErrorBound, floor};
pub use driver::Relaxation;
pub use grid::Plate;
pub use laplacian::{RowUpdate, Update, laplacian, norms};
pub use mask::{Mask, MaskError};
pub use method::Method;
pub use multigrid::Multigrid;
