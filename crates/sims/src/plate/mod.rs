//! A rectangular plate whose four sides are held at fixed temperatures, and its steady state.
//!
//! The equation is Laplace's on nx x ny square cells: in the steady state each temperature is the
//! mean of its four neighbours.
//!
//! [`Plate`] describes the plate, and [`Mask`] the cells that are held besides the sides. [`exact`]
//! has the solution that all methods converge to. [`laplacian`](laplacian()) sweeps rows once, and
//! [`norms`] combines the updates that it returns. [`Relaxation`] makes many sweeps on a farm, by a
//! given [`Method`], and also the steps of the [heat equation](heat). [`Multigrid`] needs only a
//! few cycles.
//!
//! The change of one sweep is *not* the error: Jacobi's sweeps change little long before they have
//! converged. [`ErrorBound`] bounds the error of any temperatures. For Jacobi's method
//! [`Plate::error_factor`] gives a bound from the change of a sweep, which is far larger than the
//! error:
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
