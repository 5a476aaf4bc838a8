//! Results that change while they are decoded must become an error or some valid value.
#![no_main]

use arbitrary::Unstructured;
use farm_fuzz::values::receive_changing;
use libfuzzer_sys::{Corpus, fuzz_target};

farm_fuzz::sanitized!();

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match receive_changing(&mut Unstructured::new(bytes)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});
