//! Any reference: it is refused, or leads to a function that can be named, and that can be called.
#![no_main]

use arbitrary::Arbitrary;
use farm_core::{Failure, FunctionRef, codec};
use farm_fuzz::functions::{self, Aim};
use farm_fuzz::values::without_handles;
use libfuzzer_sys::fuzz_target;

farm_fuzz::gaps_between_globals_may_be_read!();

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Aimed { at: Aim, lends: bool, argument: &'a [u8] },
}

fuzz_target!(|input: Input| {
    let (reference, argument) = match input {
        Input::Bytes(bytes) => (codec::decode::<FunctionRef>(bytes).ok(), Vec::new()),
        Input::Aimed { at, lends, argument } => {
            let argument = if lends { argument.to_vec() } else { without_handles(argument) };
            (Some(at.reference().into()), argument)
        }
    };
    let Some(reference) = reference else { return };
    // SAFETY: nobody has forged a descriptor in this program.
    if let Ok(function) = unsafe { reference.resolve() } {
        functions::check(function);
        assert_eq!(function.reference(), Ok(reference));
        // SAFETY: it is not, should these bytes lend anything: that is refused, since they name no segment that exists.
        let done = unsafe { farm_core::run(reference, &argument, &mut Vec::new()) };
        assert!(matches!(done, Ok(()) | Err(Failure::Decode(_))), "{done:?}");
    }
});
