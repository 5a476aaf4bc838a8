//! Handles of shared arrays in arguments and results of any bytes.
#![no_main]

use arbitrary::Arbitrary;
use farm_fuzz::arrays::{Answer, Argument, Attempts};
use farm_fuzz::forms;
use libfuzzer_sys::fuzz_target;

farm_fuzz::sanitized!();

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    ToWorker(Argument<'a>),
    ToMaster(Answer<'a>),
    Attempts(Attempts),
}

fuzz_target!(|input: Input| {
    forms::forget();
    match input {
        Input::ToWorker(argument) => argument.check(),
        Input::ToMaster(answer) => answer.check(),
        Input::Attempts(attempts) => attempts.check(),
    }
});
