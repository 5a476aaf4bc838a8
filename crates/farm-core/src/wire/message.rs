//! What master and worker say to each other. Each message is a head, below, and a body of encoded
//! bytes that the transport carries beside it: an argument one way, a result the other.

use serde::{Deserialize, Serialize};

use crate::api::error::Failure;
use crate::backend::task::{Attempt, TaskId};
use crate::wire::codec::Form;
use crate::wire::function::FunctionRef;

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
    /// A task has ended. What of its rows is torn, and who must end for it, does not depend on whether the body
    /// arrives.
    Done {
        /// The task, as named by [`ToWorker::Run`].
        task: TaskId,
        /// The attempt, as named by [`ToWorker::Run`].
        attempt: Attempt,
        /// How, and what the body is.
        ending: Ending,
    },
}

/// How a task has ended, and what the body is that tells more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// It has returned: the encoded result, in the compact form.
    Returned,
    /// It has returned: the result, in the form that describes itself.
    Described,
    /// It has failed: the encoded [`Failure`].
    Failed,
    /// It has kept handles, so that this worker has to be ended: the encoded [`Failure::Escaped`].
    Escaped,
}

impl Ending {
    /// How a task has ended that has this outcome.
    pub fn of(outcome: &Result<Form, Failure>) -> Self {
        match outcome {
            Ok(Form::Compact) => Self::Returned,
            Ok(Form::Described) => Self::Described,
            Err(Failure::Escaped { .. }) => Self::Escaped,
            Err(_) => Self::Failed,
        }
    }
}
