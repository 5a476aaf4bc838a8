//! What a pool tells about its worker processes.

use std::sync::Arc;

use farm_core::{TaskName, WorkerId};

/// A worker process that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id, which is that of its process group as well.
    pub pid: u32,
    /// The task that it has been given, if it has one.
    pub task: Option<Arc<TaskName>>,
}
