//! Values of many types must arrive unchanged, in whichever form, whatever was sent before.
#![no_main]

use arbitrary::Unstructured;
use farm_fuzz::values::arrive;
use libfuzzer_sys::{Corpus, fuzz_target};

farm_fuzz::sanitized!();

fuzz_target!(|bytes: &[u8]| -> Corpus {
    match arrive(&mut Unstructured::new(bytes)) {
        Ok(()) => Corpus::Keep,
        Err(_) => Corpus::Reject,
    }
});
