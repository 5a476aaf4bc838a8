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
    /// An earlier step failed and took its arrays along.
    #[error("an earlier step has failed; start again from a saved state")]
    Failed,
}
