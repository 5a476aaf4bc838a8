//! StealReason an array cannot be made, cut, or put together again.

use std::ops::Range;

use ndarray::Dimension;
use thiserror::Error;

use crate::{Band, Element, SharedArray, Split};

/// StealReason a shared array cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShmError {
    /// The shape has more bytes than memory has addresses.
    #[error(
        "an array of shape {shape:?}, of elements of {element} bytes, is larger than the address space"
    )]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
        /// The size of an element in bytes.
        element: usize,
    },
    /// Shared memory has no room for it.
    #[error("{} of shared memory are needed and {} are free{hint}", human(*.bytes as u64), human(*.available))]
    Full {
        /// What the array needs.
        bytes: usize,
        /// What is there.
        available: u64,
        /// How to get more, where it is known.
        hint: &'static str,
    },
    /// [`remove_all`](crate::remove_all) was called: the program is ending.
    #[error("shared memory was closed because the program is ending")]
    Closed,
    /// The system refused.
    #[error("cannot {doing} shared memory segment {name}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// The segment.
        name: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// StealReason an array cannot be split; it is handed back.
#[derive(Debug, Error)]
#[error("rows {rows:?} cannot be a band: {reason}")]
pub struct SplitError<T: Element, D: Dimension> {
    /// The array, whole.
    pub array: SharedArray<T, D>,
    /// The range that is refused.
    pub rows: Range<usize>,
    /// StealReason.
    pub reason: &'static str,
}

/// StealReason bands do not make an array; everything is handed back.
#[derive(Debug, Error)]
#[error("the bands do not make up the array: {missing} missing, {foreign} of another array")]
pub struct JoinError<T: Element, D: Dimension> {
    /// The split; [`Split::recover`] gives the array once no band is out.
    pub split: Split<T, D>,
    /// The bands.
    pub bands: Vec<Band<T, D>>,
    /// How many bands of this split are not there.
    pub missing: usize,
    /// How many bands are of other splits.
    pub foreign: usize,
}

/// A number of bytes to three digits or more.
fn human(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut size = bytes as f64;
    let mut unit = "bytes";
    for larger in units {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = larger;
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") }
}
