//! Encodes values in the form that a target wants, whatever facts have become known before.

use std::sync::atomic::{AtomicU64, Ordering};

use farm_core::codec::{self, CodecError, FACTS, Facts, Form};
use farm_core::backend::encode_call;
use serde::Serialize;

static KNOWN: Facts = [const { AtomicU64::new(0) }; FACTS];

/// Forgets all facts, so that the next value is encoded in the described form.
pub fn forget() {
    codec::share(&KNOWN);
    KNOWN.iter().for_each(|fact| fact.store(0, Ordering::Relaxed));
}

/// The size in bytes of the word behind an argument, which holds the length of its grants.
const LENGTH: usize = 4;

/// The bit of that word which says that the argument is in the described form.
const DESCRIBED: u32 = 1 << 31;

/// Encodes a value, and returns the form that `encode_call` has chosen.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<(Form, Vec<u8>), CodecError> {
    let argument = encode_call(value)?;
    let (value, form, _) = take_apart(&argument).expect("it was encoded");
    Ok((form, value.to_vec()))
}

/// Encodes a value in the given form. The described form makes it forget all facts first.
pub(crate) fn encode_in<T: Serialize>(form: Form, value: &T) -> Result<Vec<u8>, CodecError> {
    if form == Form::Compact {
        return codec::encode(value);
    }
    forget();
    let (form, bytes) = encode(value)?;
    assert_eq!(form, Form::Described, "nothing is known");
    Ok(bytes)
}

/// An argument of an encoded value and the grants for its handles.
pub fn argument(form: Form, value: &[u8], grants: &[u8]) -> Vec<u8> {
    let length = u32::try_from(grants.len()).expect("they are few");
    let flag = if form == Form::Described { DESCRIBED } else { 0 };
    [value, grants, &(length | flag).to_le_bytes()].concat()
}

/// Splits an argument into the bytes of the value, its form, and the grants.
pub(crate) fn take_apart(argument: &[u8]) -> Option<(&[u8], Form, &[u8])> {
    let (rest, length) = argument.split_last_chunk::<LENGTH>()?;
    let length = u32::from_le_bytes(*length);
    let form = if length & DESCRIBED == 0 { Form::Compact } else { Form::Described };
    let grants = (length & !DESCRIBED) as usize;
    let (value, grants) = rest.split_at(rest.len().checked_sub(grants)?);
    Some((value, form, grants))
}
