//! Any bytes as argument and as result: values of many types, and handles of shared arrays.
#![no_main]

use arbitrary::Arbitrary;
use farm_fuzz::arrays::{Answer, Argument, Attempts};
use farm_fuzz::values::Encoded;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Value(Encoded<'a>),
    ArraysToWorker(Argument<'a>),
    ArraysToMaster(Answer<'a>),
    Attempts(Attempts),
}

fuzz_target!(|input: Input| match input {
    Input::Value(value) => value.check(),
    Input::ArraysToWorker(argument) => argument.check(),
    Input::ArraysToMaster(answer) => answer.check(),
    Input::Attempts(attempts) => attempts.check(),
});
