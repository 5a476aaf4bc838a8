//! The messages between master and worker. Each message is a head, defined here, and a body of
//! encoded bytes that the transport carries beside it: to the worker an argument, to the master a
//! result or a failure. The channels of farm-process send these heads; its lanes have records of
//! their own, with the same [`Ending`].

use serde::{Deserialize, Serialize};

use crate::api::error::Failure;
use crate::backend::task::{Attempt, TaskId};
use crate::wire::codec::Form;
use crate::wire::function::FunctionRef;

/// The head of a message from the master to one worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToWorker {
    /// Run the function on the argument in the body, and answer with [`FromWorker::Done`].
    Run {
        /// The task; the answer names it.
        task: TaskId,
        /// The attempt; the answer names it.
        attempt: Attempt,
        /// The function to call.
        function: FunctionRef,
    },
}

/// The head of a message from one worker to the master.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromWorker {
    /// A task has ended. The head tells how, so that the master knows whether rows are torn and
    /// whether the worker has to be ended even if the body does not arrive.
    Done {
        /// The task that [`ToWorker::Run`] named.
        task: TaskId,
        /// The attempt that [`ToWorker::Run`] named.
        attempt: Attempt,
        /// How the task has ended, and what the body contains.
        ending: Ending,
    },
}

/// How a task has ended, and what the body of its answer contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The task has returned. The body is the result in the compact form.
    Returned,
    /// The task has returned. The body is the result in the described form.
    Described,
    /// The task has failed. The body is the encoded [`Failure`].
    Failed,
    /// The task has kept handles of shared arrays, so its worker has to be ended. The body is the
    /// encoded [`Failure::Escaped`].
    Escaped,
}

impl Ending {
    /// The ending of a task that has this outcome.
    pub fn of(outcome: &Result<Form, Failure>) -> Self {
        match outcome {
            Ok(Form::Compact) => Self::Returned,
            Ok(Form::Described) => Self::Described,
            Err(Failure::Escaped { .. }) => Self::Escaped,
            Err(_) => Self::Failed,
        }
    }
}
