//! Decodes results in the master.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;

use super::panics::{self, Caught};
use super::payload::Payload;
use crate::loan::{Loans, Phase, Register, in_phase, in_phase_without_loans};
use crate::wire::codec::{self, CodecError, Setting};

/// Decodes results of a batch with `decode`, one after the other, until one fails. `next` returns
/// `Some(None)` for a result that is missing, and `None` at the end.
pub(crate) fn decode_each<R, S>(
    decoded: &mut VecDeque<R>,
    mut next: impl FnMut() -> Option<Option<S>>,
    decode: impl Fn(&Setting, S) -> Result<R, CodecError>,
) -> Result<(), CodecError> {
    let missing = || CodecError::Decode("it is not among what has arrived".to_owned());
    let decode_all = || {
        let setting = Setting::new();
        while let Some(result) = next() {
            decoded.push_back(decode(&setting, result.ok_or_else(missing)?)?);
        }
        Ok(())
    };
    in_phase_without_loans(Phase::DecodeResult, || panics::catch(decode_all))
        .unwrap_or_else(|caught| Err(failed_to_decode(&caught)))
}

fn failed_to_decode(caught: &Caught) -> CodecError {
    CodecError::Decode(format!("its `Deserialize` panicked: {}", caught.message))
}

/// Decodes a result in the master. Handles of shared arrays in it are made from the task's loans.
pub(crate) fn decode_result<R: DeserializeOwned>(
    result: &Payload,
    loans: Loans,
) -> Result<R, CodecError> {
    let decode = || panics::catch(|| codec::decode_value(result.source(), result.form()));
    let register = Register { loans, ..Register::default() };
    in_phase(Phase::DecodeResult, register, decode)
        .0
        .unwrap_or_else(|caught| Err(failed_to_decode(&caught)))
}
