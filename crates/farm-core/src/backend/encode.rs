//! Encoding arguments in the master, for workers that do not share its values.

use serde::Serialize;

use super::panics::{self, Caught};
use crate::loan::{self, Grants, Loans, Phase, Register, in_phase};
use crate::wire::batch::Batch;
use crate::wire::codec::{self, CodecError, Form, Output, Setting};

/// Encodes an argument that holds no handles of shared arrays, as [`run`] takes it.
///
/// # Errors
///
/// As its `Serialize` says; also if there is a handle in it.
pub fn encode_call<A: Serialize>(argument: &A) -> Result<Vec<u8>, CodecError> {
    let mut output = Output::default();
    let form = codec::encode_value(argument, &mut output)?;
    Grants::default().append_to(&mut output, form)?;
    Ok(output.into_heap())
}

/// Encodes an argument in the master, and collects the arrays that travel beside it.
pub(crate) fn encode_argument<A: Serialize>(
    argument: &A,
    repeatable: bool,
    output: &mut Output<'_>,
) -> Result<Loans, CodecError> {
    let way = Phase::EncodeArgument { repeatable };
    let encode = || panics::catch(|| codec::encode_value(argument, output));
    let (encoded, Register { loans, grants }) = in_phase(way, Register::default(), encode);
    let form = encoded.unwrap_or_else(|caught| Err(failed_to_encode(&caught)))?;
    grants.append_to(output, form)?;
    Ok(loans)
}

/// Encodes arguments of many calls into a batch, until it holds `full` bytes or one of them has to go by itself: that is
/// left open in it, and is told with the loans that it has.
pub(crate) fn encode_each<'a, A: Serialize + 'a>(
    arguments: impl Iterator<Item = &'a A>,
    repeatable: bool,
    batch: &mut Batch,
    full: usize,
) -> Result<Option<Loans>, CodecError> {
    let way = Phase::EncodeArgument { repeatable };
    let encode = || {
        let setting = Setting::new();
        for argument in arguments {
            let before = batch.output().len();
            let form = setting.encode(argument, batch.output())?;
            let bytes = batch.output().len();
            if form == Form::Described || loan::has_registered() || bytes - before > full {
                return Ok(Some(form));
            }
            batch.output().put(&Grants::NOTHING);
            batch.close_item();
            if bytes >= full {
                break;
            }
        }
        Ok(None)
    };
    let encode = || panics::catch(encode);
    let (encoded, Register { loans, grants }) = in_phase(way, Register::default(), encode);
    let open = encoded.unwrap_or_else(|caught| Err(failed_to_encode(&caught)))?;
    let Some(form) = open else { return Ok(None) };
    grants.append_to(batch.output(), form)?;
    Ok(Some(loans))
}

fn failed_to_encode(caught: &Caught) -> CodecError {
    CodecError::Encode(format!("its `Serialize` panicked: {}", caught.message))
}
