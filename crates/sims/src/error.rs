//! Why a parallel run stops.

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
    /// Steps of the heat equation would grow without bound.
    #[error(
        "a ratio dt / h^2 of {ratio:?} is unstable; it must be above 0 and at most {largest:?}"
    )]
    Unstable {
        /// dt / h^2.
        ratio: f64,
        /// The bound.
        largest: f64,
    },
    /// An earlier step failed and took its arrays along.
    #[error("an earlier step has failed; start again from a saved state")]
    Failed,
}
