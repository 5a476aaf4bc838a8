//! The error of a parallel run.

use farm_core::TaskError;
use farm_shm::ShmError;
use thiserror::Error;

/// Why a parallel run cannot go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimError {
    /// A task failed.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// The arrays do not fit into shared memory.
    #[error(transparent)]
    Memory(#[from] ShmError),
    /// The ratio of the heat equation is outside the stable range: its steps would grow without
    /// bound.
    #[error(
        "a ratio dt / h^2 of {ratio:?} is unstable; it must be above 0 and at most {largest:?}"
    )]
    Unstable {
        /// dt / h^2.
        ratio: f64,
        /// The largest stable ratio.
        largest: f64,
    },
    /// An earlier step failed, and its arrays are lost.
    #[error("an earlier step has failed; start again from a saved state")]
    Failed,
}
