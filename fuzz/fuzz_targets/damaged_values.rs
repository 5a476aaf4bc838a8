//! Any bytes, and damaged encodings, as argument and as result, must become an error or some value.
#![no_main]

use arbitrary::Unstructured;
use farm_fuzz::values::receive_damaged;
use libfuzzer_sys::{Corpus, fuzz_target};

farm_fuzz::sanitized!();

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match receive_damaged(&mut Unstructured::new(bytes)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});
