//! Encodes arguments in the master, for workers that do not share its memory.

use serde::Serialize;

use super::panics::{self, Caught};
use crate::loan::{self, Grants, Loans, Phase, Register, in_phase};
use crate::wire::batch::Batch;
use crate::wire::codec::{self, CodecError, Form, Output, Setting};

/// Encodes an argument that has no handles of shared arrays, for [`run`](crate::backend::run::run).
///
/// # Errors
///
/// The error of its `Serialize`, which may be that of a handle in it.
pub fn encode_call<A: Serialize>(argument: &A) -> Result<Vec<u8>, CodecError> {
    let mut output = Output::default();
    let form = codec::encode_value(argument, &mut output)?;
    Grants::default().append_to(&mut output, form)?;
    Ok(output.into_heap())
}

/// Encodes an argument in the master, with its grants, and returns its loans.
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

/// Encodes arguments into a batch, until it holds `full` bytes or one argument must go alone:
/// because it has loans, is in the described form, or is longer than `full` bytes. That argument is
/// not closed in the batch, and its loans are returned. Returns `None` if all arguments have become
/// items.
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
