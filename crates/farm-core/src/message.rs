//! What master and worker say to each other. Each message is a head, below, and a body of encoded
//! bytes that the transport carries beside it: an argument one way, a result the other.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use crate::Failure;
use crate::{Attempt, FunctionRef, TaskId};

/// From the master to one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Run this function on the argument in the body, and answer with [`FromWorker::Done`].
    Run {
        /// The task, to be named in the answer.
        task: TaskId,
        /// The attempt, to be named in the answer.
        attempt: Attempt,
        /// The function to call.
        function: FunctionRef,
    },
}

/// From one worker to the master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// A task has ended. The body is its encoded result, or the encoded [`Failure`] if it has none.
    Done {
        /// The task, as named by [`ToWorker::Run`].
        task: TaskId,
        /// The attempt, as named by [`ToWorker::Run`].
        attempt: Attempt,
        /// Whether the body is a result.
        returned: bool,
    },
}
