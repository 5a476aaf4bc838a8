//! The errors of making, splitting and joining shared arrays.

use std::ops::Range;

use ndarray::Dimension;
use thiserror::Error;

use crate::{Band, Element, SharedArray, Split};

/// The reason why a shared array cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShmError {
    /// The array has more bytes than the address space.
    #[error(
        "an array of shape {shape:?}, of elements of {element} bytes, is larger than the address space"
    )]
    TooLarge {
        /// The shape.
        shape: Vec<usize>,
        /// The size of an element in bytes.
        element: usize,
    },
    /// Shared memory has no room for the array.
    #[error("{} of shared memory are needed and {} are free{hint}", human(*.bytes as u64), human(*.available))]
    Full {
        /// How many bytes are needed.
        bytes: usize,
        /// How many bytes are free.
        available: u64,
        /// How to get more shared memory; empty if that is not known.
        hint: &'static str,
    },
    /// [`remove_all`](crate::remove_all) was called: the program is ending.
    #[error("shared memory was closed because the program is ending")]
    Closed,
    /// An operation on shared memory has failed.
    #[error("cannot {doing} shared memory segment {name}: {source}")]
    System {
        /// The operation, as a verb.
        doing: &'static str,
        /// The name of the segment.
        name: String,
        /// Why it has failed.
        source: std::io::Error,
    },
}

/// The reason why an array cannot be split. The error hands the array back.
#[derive(Debug, Error)]
#[error("rows {rows:?} cannot be a band: {reason}")]
pub struct SplitError<T: Element, D: Dimension> {
    /// The array, unchanged.
    pub array: SharedArray<T, D>,
    /// The range that is refused.
    pub rows: Range<usize>,
    /// Why the range is refused.
    pub reason: &'static str,
}

/// The reason why bands do not make up their array. The error hands everything back.
#[derive(Debug, Error)]
#[error("the bands do not make up the array: {missing} missing, {foreign} of another array")]
pub struct JoinError<T: Element, D: Dimension> {
    /// The split. [`Split::recover`] returns the array when no band exists any more.
    pub split: Split<T, D>,
    /// The bands that were to be joined.
    pub bands: Vec<Band<T, D>>,
    /// How many bands of this split are missing.
    pub missing: usize,
    /// How many bands are of other splits.
    pub foreign: usize,
}

/// Writes a number of bytes in the largest unit in which it is at least 1, with one decimal.
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
