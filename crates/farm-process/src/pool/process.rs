//! What a pool tells about its worker processes.

use std::sync::Arc;

use farm_core::{TaskName, WorkerId};

/// A worker process that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id, which is also the id of its process group.
    pub pid: u32,
    /// The task that it has been given, if it has one.
    pub task: Option<Arc<TaskName>>,
}
