//! Any function reference must be refused, or lead to a function that can be named and called.
#![no_main]

use arbitrary::Arbitrary;
use farm_core::codec::{self, Form};
use farm_core::Stage;
use farm_core::backend::{Failure, FunctionRef};
use farm_fuzz::forms;
use farm_fuzz::functions::{self, Aim};
use libfuzzer_sys::fuzz_target;

farm_fuzz::sanitized!(gaps between globals may be read);

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Aimed { at: Aim, argument: Argument<'a> },
}

#[derive(Arbitrary, Debug)]
enum Argument<'a> {
    Raw(&'a [u8]),
    Compact(&'a [u8]),
    Described(&'a [u8]),
}

impl Argument<'_> {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Compact(bytes) => forms::argument(Form::Compact, bytes, &[]),
            Self::Described(bytes) => forms::argument(Form::Described, bytes, &[]),
        }
    }
}

fuzz_target!(|input: Input| {
    forms::forget();
    let (reference, argument) = match input {
        Input::Bytes(bytes) => (codec::decode::<FunctionRef>(bytes).ok(), Vec::new()),
        Input::Aimed { at, argument } => (Some(at.reference().into()), argument.encode()),
    };
    let Some(reference) = reference else { return };
    // SAFETY: this program contains no forged descriptor.
    if let Ok(function) = unsafe { reference.resolve() } {
        functions::check(function);
        assert_eq!(function.reference(), Ok(reference));
        // SAFETY: the contract is broken if these bytes lend something. That is refused, since they
        // name no segment that exists.
        let done = unsafe { farm_core::backend::run(reference, &argument, &mut Vec::new()) };
        let refused =
            |failure: &_| matches!(failure, Failure::Decode { stage: Stage::Argument, .. });
        assert!(done.as_ref().is_ok() || done.as_ref().is_err_and(refused), "{done:?}");
    }
});
