//! Any frame from a worker: the master finds no answer in it, or a result, or a failure that can be told.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use farm_core::{Failure, Function, Payload, TaskName, TaskOptions, codec};
use farm_fuzz::panics;
use farm_process::fuzzing::{Frame, master_receives};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    blocks: [&'a [u8]; 2],
    head: Head,
    rest: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Head {
    Raw,
    Done { worker: u32, task: u64, attempt: u32, ending: Ending },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Ending {
    Returned,
    Failed,
    Escaped,
    Unknown,
}

impl Ending {
    /// How a task has ended is in the head, whatever the body is.
    fn check(self, outcome: Option<&Result<Payload, Failure>>) {
        let fits = match (self, outcome) {
            (_, None) => true,
            (Self::Returned, Some(outcome)) => {
                matches!(outcome, Ok(_) | Err(Failure::Undelivered(_)))
            }
            (Self::Failed, Some(outcome)) => outcome.is_err(),
            (Self::Escaped, Some(outcome)) => matches!(outcome, Err(Failure::Escaped { .. })),
            (Self::Unknown, Some(_)) => false,
        };
        assert!(fits, "{self:?} was taken for something else");
    }
}

fuzz_target!(init: panics::let_ipc_channel_panic(), |input: Input| {
    let Input { blocks, head, rest } = input;
    let ending = match head {
        Head::Done { ending, .. } => Some(ending),
        Head::Raw => None,
    };
    let frame = match head {
        Head::Raw => Frame::new(rest.to_vec(), &blocks),
        Head::Done { worker, task, attempt, ending } => {
            const MESSAGE: u8 = 2;
            const DONE: u8 = 0;
            let head = codec::encode(&(MESSAGE, worker, DONE, task, attempt, ending as u8));
            Frame::new([&*head.expect("numbers"), rest].concat(), &blocks)
        }
    };
    let outcome = master_receives(frame);
    if let Some(ending) = ending {
        ending.check(outcome.as_ref());
    }
    match outcome {
        Some(Ok(result)) => drop(std::hint::black_box(result.as_ref().to_vec())),
        Some(Err(failure)) => {
            let task = TaskName::new(Function::of(f64::sqrt), &TaskOptions::new());
            std::hint::black_box(failure.of(Arc::new(task)).to_string());
        }
        None => {}
    }
});
