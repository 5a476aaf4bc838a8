//! Arrays of ndarray in shared memory, with ownership that holds across processes.
//!
//! ```text
//! SharedArray ──freeze──▶ ArrayRef (many readers) ──thaw, when the last is back──▶ SharedArray
//!     │
//!     └──split(ranges)──▶ Split (keeps the array) + Band, … (each moves to one task and back)
//!                           Split::join(bands) ──▶ SharedArray
//!                           Split::recover()   ──▶ the array, and the rows not to be trusted
//! ```
//!
//! The rules of the borrow checker for a `Vec` hold here across processes: while a handle may write
//! to some rows, no other handle can read or write them. An encoded handle has a few bytes,
//! whatever the size of its array, and only a farm can send it.
//!
//! ```
//! use farm_core::prelude::*;
//! use farm_shm::{Band, SharedArray};
//! use ndarray::{Ix1, array};
//!
//! fn double(mut band: Band<f64, Ix1>) -> Band<f64, Ix1> {
//!     band.view_mut().mapv_inplace(|x| 2.0 * x);
//!     band
//! }
//!
//! # fn demo(pool: &impl Farm) -> Result<(), Box<dyn std::error::Error>> {
//! let array = SharedArray::from_array(&array![1.0, 2.0, 3.0])?;
//! let (split, bands) = array.split([0..2, 2..3])?;
//! let array = split.join(pool.map(double, bands)?)?;
//! assert_eq!(array.view(), array![2.0, 4.0, 6.0]);
//! # Ok(())
//! # }
//! ```
//!
//! While an array is split, its rows can be accessed only by the bands:
//!
//! ```
//! # use farm_shm::SharedArray;
//! let array = SharedArray::<f64, _>::zeros(4)?;
//! let (split, bands) = array.split([0..2, 2..4])?;
//! let array = split.join(bands)?;
//! array.view();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```compile_fail,E0382
//! # use farm_shm::SharedArray;
//! let array = SharedArray::<f64, _>::zeros(4)?;
//! let (split, bands) = array.split([0..2, 2..4])?;
//! array.view();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("farm-shm runs on Linux only");

mod array;
mod array_ref;
mod band;
mod description;
mod element;
mod error;
mod lent;
mod name;
mod overwrite;
mod ranges;
mod registry;
mod segment;
mod space;
mod split;
mod undo;
mod wire;

pub use array::SharedArray;
pub use array_ref::ArrayRef;
pub use band::Band;
/// The crate that derives [`Pod`](bytemuck::Pod) for [`Element`] types; see there.
pub use bytemuck;
pub use description::Description;
pub use element::Element;
pub use error::{JoinError, ShmError, SplitError};
pub use overwrite::Overwrite;
pub use registry::remove_all;
pub use split::{Bands, Recovered, Split};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
