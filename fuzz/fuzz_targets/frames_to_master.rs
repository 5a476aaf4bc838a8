//! Any frame from a worker. The master must find no answer in it, or a result, or a failure that
//! can be printed.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use farm_core::{Stage, TaskName, TaskOptions, codec};
use farm_core::backend::{Failure, Function, Payload};
use farm_fuzz::panics;
use farm_process::fuzzing::{Frame, master_receives};
use libfuzzer_sys::fuzz_target;

farm_fuzz::sanitized!();

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    blocks: [&'a [u8]; 2],
    head: Head,
    body: Body<'a>,
}

#[derive(Arbitrary, Debug)]
enum Head {
    Raw,
    Done { worker: u32, task: u64, attempt: u32, ending: Ending },
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Raw(&'a [u8]),
    /// A body whose bytes are in the packet.
    Inline(&'a [u8]),
    /// A body whose bytes are in the first block.
    Block,
}

impl Body<'_> {
    fn encode(&self) -> Vec<u8> {
        const INLINE: u8 = 0;
        // `Body::Block`, `Some`, and the number of the block among those of the packet.
        const BLOCK: [u8; 3] = [1, 1, 0];
        match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Inline(bytes) => codec::encode(&(INLINE, bytes)).expect("bytes"),
            Self::Block => BLOCK.to_vec(),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Ending {
    Returned,
    Described,
    Failed,
    Escaped,
    Unknown,
}

impl Ending {
    /// Checks that the outcome fits the ending in the head, whatever the body is.
    fn check(self, outcome: Option<&Result<Payload, Failure>>) {
        let fits = match (self, outcome) {
            (_, None) => true,
            (Self::Returned | Self::Described, Some(outcome)) => {
                matches!(outcome, Ok(_) | Err(Failure::Decode { stage: Stage::Result, .. }))
            }
            (Self::Failed, Some(outcome)) => outcome.is_err(),
            (Self::Escaped, Some(outcome)) => matches!(outcome, Err(Failure::Escaped { .. })),
            (Self::Unknown, Some(_)) => false,
        };
        assert!(fits, "{self:?} was taken for something else");
    }
}

fuzz_target!(init: panics::let_ipc_channel_panic(), |input: Input| {
    let Input { blocks, head, body } = input;
    let ending = match head {
        Head::Done { ending, .. } => Some(ending),
        Head::Raw => None,
    };
    let rest = body.encode();
    let frame = match head {
        Head::Raw => Frame::new(rest, &blocks),
        Head::Done { worker, task, attempt, ending } => {
            const MESSAGE: u8 = 3;
            const DONE: u8 = 0;
            let head = codec::encode(&(MESSAGE, worker, DONE, task, attempt, ending as u8));
            Frame::new([head.expect("numbers"), rest].concat(), &blocks)
        }
    };
    let outcome = master_receives(frame);
    if let Some(ending) = ending {
        ending.check(outcome.as_ref());
        let is_whole = !matches!(body, Body::Raw(_)) && ending != Ending::Unknown;
        assert!(outcome.is_some() || !is_whole, "an answer was taken for something else");
    }
    match outcome {
        Some(Ok(result)) => drop(std::hint::black_box(result.to_vec())),
        Some(Err(failure)) => {
            let task = TaskName::new(Function::of(f64::sqrt), &TaskOptions::new());
            std::hint::black_box(failure.of(Arc::new(task)).to_string());
        }
        None => {}
    }
});
