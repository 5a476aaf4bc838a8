//! Any frame from the master. A worker must find no task in it, or a function and an argument.
#![no_main]

use arbitrary::Arbitrary;
use farm_core::codec;
use farm_fuzz::functions::{self, Aim};
use farm_fuzz::panics;
use farm_process::fuzzing::{Frame, worker_receives};
use libfuzzer_sys::fuzz_target;

farm_fuzz::sanitized!(gaps between globals may be read);

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    blocks: [&'a [u8]; 2],
    head: Head,
    rest: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Head {
    Raw,
    Welcome,
    Task { task: u64, attempt: u32, function: Aim },
}

fuzz_target!(init: panics::let_ipc_channel_panic(), |input: Input| {
    let Input { blocks, head, rest } = input;
    let frame = match head {
        Head::Raw => Frame::new(rest.to_vec(), &blocks),
        Head::Welcome => Frame::welcome(rest, &blocks),
        Head::Task { task, attempt, function } => {
            const TASK_RUN: [u8; 2] = [1, 0];
            let head = codec::encode(&(TASK_RUN, task, attempt, function.reference()));
            Frame::new([&*head.expect("numbers"), rest].concat(), &blocks)
        }
    };
    if let Some((function, argument)) = worker_receives(frame) {
        std::hint::black_box(argument.to_vec());
        let _ = function.map(functions::check);
    }
});
