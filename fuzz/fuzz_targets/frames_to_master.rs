//! Any frame from a worker: the master finds no answer in it, or a result, or a failure that can be told.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use farm_core::{Function, TaskName, TaskOptions, codec};
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
    Done { worker: u32, task: u64, attempt: u32, returned: bool },
}

fuzz_target!(init: panics::let_ipc_channel_panic(), |input: Input| {
    let Input { blocks, head, rest } = input;
    let frame = match head {
        Head::Raw => Frame::new(rest.to_vec(), &blocks),
        Head::Done { worker, task, attempt, returned } => {
            const MESSAGE: u8 = 2;
            const DONE: u8 = 0;
            let head = codec::encode(&(MESSAGE, worker, DONE, task, attempt, returned));
            Frame::new([&*head.expect("numbers"), rest].concat(), &blocks)
        }
    };
    match master_receives(frame) {
        Some(Ok(result)) => drop(std::hint::black_box(result.as_ref().to_vec())),
        Some(Err(failure)) => {
            let task = TaskName::new(Function::of(f64::sqrt), &TaskOptions::new());
            std::hint::black_box(failure.of(Arc::new(task)).to_string());
        }
        None => {}
    }
});
