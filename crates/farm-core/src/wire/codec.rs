//! The codec: values to bytes and back, so that every value arrives unchanged.
//!
//! It is a serde format of the project's own with two forms. The *compact form* has the bytes of
//! postcard, except that `is_human_readable` is true: what serde writes for machines may be less,
//! such as an IPv6 socket address without its scope. The form has neither kinds nor names, so it
//! brings back only a value whose `Deserialize` asks for exactly what its `Serialize` has written.
//! The *described form* adds the kind of each value and the names of fields and variants, and can
//! be read as JSON is. A value goes in the described form until each part of its shape was
//! found to come back, and from then on in the compact form.
//!
//! # Why not a library
//!
//! - postcard has no names: a field that `skip_serializing_if` leaves out moves all that follow it,
//!   and an `untagged` enum cannot be read. It encodes `Vec<f64>` number by number, and a long
//!   value would have to be copied once more to or from the memory of a transport.
//! - CBOR and MessagePack do not tell apart tuple and sequence, unit and empty option, nested
//!   options, or `u8` and `u64`, which the exact reading of the described form compares.
//!
//! `benches/codec.rs` compares the codec with postcard and serde_json. More reasons are in
//! `docs/decisions.md`, under Codec.
//!
//! # Files
//!
//! - `codec.rs`: the entry points, and `Source`, the bytes that are decoded.
//! - `codec/serializer.rs`: the serializer of both forms.
//! - `codec/deserializer.rs`: the deserializer of the compact form.
//! - `codec/described.rs`: encodes the described form, and chooses how it is read.
//! - `codec/described/reading.rs`: the ways to read a described value, and their progress.
//! - `codec/described/reader.rs`: the deserializer of the described form.
//! - `codec/described/items.rs`: access to described sequences, maps and structs.
//! - `codec/described/variants.rs`: access to described variants.
//! - `codec/described/bytes.rs`: takes the pieces of the described form off the bytes.
//! - `codec/shape.rs`: the shape of a value, cut into facts.
//! - `codec/known.rs`: the set of known facts, shared by a master and its workers.
//! - `codec/sink.rs`: writes bytes to memory that grows; its position stays in registers.
//! - `codec/output.rs`: that memory, on the heap or in a transport.
//! - `codec/input.rs`: reads bytes, also from memory to which another process can write.
//! - `codec/bulk.rs`: copies vectors of numbers as one block; `bulk/visitor.rs` recognises them.
//! - `codec/stack.rs`: more stack for values that are nested deeply.
//! - `codec/error.rs`: the errors of the serializers and deserializers.
//!
//! # Invariants
//!
//! - The codec brings back each value that JSON brings back, and also infinite numbers, maps with
//!   any keys, and options in options (`farm-conformance`, `values.rs`).
//! - Any bytes are a value or an error: no read is out of bounds, no depth overflows the stack.
//! - Bytes that another process can change are copied before they are checked and used.
//! - After an error, the output holds what it held before.
//! - A `Serialize` runs at most twice for one value, and a `Deserialize` at most four times.
//!   Handles of shared arrays are unregistered or restored in between (`loan/mod.rs`).
//!
//! # Callers
//!
//! In the master, `backend/encode_argument.rs` encodes arguments and `backend/decode_result.rs` decodes results; in
//! a worker, `wire/function.rs` does the converse. For these the codec chooses the form. Failures
//! and grants are always compact ([`encode`], [`decode`]). farm-process implements [`OutputBuffer`]
//! and [`SharedBytes`], and [shares](share) the facts.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub(crate) use self::bulk::collect;
pub use self::error::Error as FormError;
pub use self::input::SharedBytes;
pub use self::known::{FACTS, Facts, share};
pub use self::output::{Encoded, Output, OutputBuffer};

use self::deserializer::Decoder;
use self::error::Cause;
use self::input::{Behind, Input};
use self::serializer::{Encoder, Terms};
use self::sink::Sink;
use self::stack::Limit;
use crate::loan;

mod bulk;
mod described;
mod deserializer;
mod error;
mod input;
mod known;
mod output;
mod serializer;
mod shape;
mod sink;
mod stack;
#[cfg(test)]
mod tests;

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value's `Serialize` refused, or the form cannot hold the value.
    #[error("{0}")]
    Encode(String),
    /// The bytes are not those of such a value, or its `Deserialize` refused.
    #[error("{0}")]
    Decode(String),
}

/// The form in which a value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// postcard's bytes, without kinds and names.
    Compact,
    /// With the kinds of values and the names of fields and variants.
    Described,
}

/// Encodes a value in the compact form. Its `Deserialize` must ask for exactly what its `Serialize`
/// writes, as those do that are derived without attributes.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value refuses, leaves out a field, has a sequence or a map whose
/// length is unknown or wrong or whose elements take no bytes, or has a struct or an enum inside a
/// trait object.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).map(|()| bytes)
}

/// Appends an encoded value to `bytes`. After an error, `bytes` is as it was before.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let mut output = Output::from(std::mem::take(bytes));
    let encoded = encode_to(value, &mut output);
    *bytes = output.into_heap();
    encoded
}

/// Appends an encoded value to `output`. After an error, `output` holds what it held before; after
/// a panic, it may hold more bytes behind that.
///
/// # Errors
///
/// As [`encode`].
#[inline]
pub(crate) fn encode_to<T: Serialize + ?Sized>(
    value: &T,
    output: &mut Output<'_>,
) -> Result<(), CodecError> {
    encode_compact(value, &Terms::default(), Limit::now(), output)
}

#[inline(always)]
fn encode_compact<T: Serialize + ?Sized>(
    value: &T,
    terms: &Terms,
    limit: Limit,
    output: &mut Output<'_>,
) -> Result<(), CodecError> {
    let before = output.len();
    let mut encoder = Encoder::<false>::new(Sink::new(output), terms, limit);
    let encoded = encoder.encode(value);
    let length = encoder.into_sink().length();
    finish(encoded, length, before, output)
}

/// The known facts and the limit of the stack, looked up once for values that are encoded or
/// decoded one after the other. Both hold for the thread and the stack on which this was made.
pub(crate) struct Setting {
    terms: Terms,
    limit: Limit,
}

impl Setting {
    #[inline]
    pub(crate) fn new() -> Self {
        let terms = Terms { known: Some(known::facts()), ..Terms::default() };
        Self { terms, limit: Limit::now() }
    }

    /// Decodes a value as [`decode_value`] does.
    #[inline]
    pub(crate) fn decode<T: DeserializeOwned>(
        &self,
        source: Source<'_>,
        form: Form,
    ) -> Result<T, CodecError> {
        match (form, source) {
            (Form::Compact, Source::Own(bytes)) => self.decode_compact(bytes),
            _ => decode_otherwise(source, form),
        }
    }

    /// Decodes a value of the compact form as [`decode`] does.
    #[inline]
    pub(crate) fn decode_compact<T: DeserializeOwned>(
        &self,
        bytes: &[u8],
    ) -> Result<T, CodecError> {
        decode_whole(Input::new(bytes), self.limit)
    }

    /// Appends an encoded value of any type to `output`: in the compact form if that is known to
    /// bring the value back, else in the described form. After an error, `output` holds what it
    /// held before; after a panic, it may hold more bytes behind that.
    ///
    /// # Errors
    ///
    /// [`CodecError::Encode`] if the value refuses.
    #[inline(always)]
    pub(crate) fn encode<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Output<'_>,
    ) -> Result<Form, CodecError> {
        let encoded = encode_compact(value, &self.terms, self.limit, output);
        if self.terms.is_unsuited.get() {
            return self.describe(value, output);
        }
        encoded.map(|()| Form::Compact)
    }

    #[cold]
    #[inline(never)]
    fn describe<T: Serialize + ?Sized>(
        &self,
        value: &T,
        output: &mut Output<'_>,
    ) -> Result<Form, CodecError> {
        self.terms.is_unsuited.set(false);
        loan::unregister_all();
        described::encode(value, output).map(|()| Form::Described)
    }
}

/// Encodes a value of any type as [`Setting::encode`] does.
#[inline]
pub(crate) fn encode_value<T: Serialize + ?Sized>(
    value: &T,
    output: &mut Output<'_>,
) -> Result<Form, CodecError> {
    Setting::new().encode(value, output)
}

/// Appends bytes to `output` as they are. After an error, `output` holds what it held before.
#[inline]
pub(crate) fn put_to(bytes: &[u8], output: &mut Output<'_>) -> Result<(), CodecError> {
    let before = output.len();
    let mut sink = Sink::new(output);
    let put = sink.extend(bytes);
    let length = sink.length();
    finish(put, length, before, output)
}

/// Ends the writing to `output` through a sink. `length` is what [`Sink::length`] returns, and
/// `before` is the length that `output` had before.
#[inline(always)]
fn finish(
    encoded: error::Result<()>,
    length: Option<usize>,
    before: usize,
    output: &mut Output<'_>,
) -> Result<(), CodecError> {
    match (encoded, length) {
        (Ok(()), Some(length)) => {
            // SAFETY: the sink has written so many bytes into the room of `output`.
            unsafe { output.advance(length) };
            Ok(())
        }
        (encoded, _) => Err(undo(encoded, before, output)),
    }
}

#[cold]
#[inline(never)]
fn undo(encoded: error::Result<()>, before: usize, output: &mut Output<'_>) -> CodecError {
    output.truncate(before);
    let error = encoded.err().unwrap_or_else(|| Cause::Full.into());
    CodecError::Encode(error.to_string())
}

/// Decodes a value of the compact form that must fill `bytes` to the end.
///
/// # Errors
///
/// [`CodecError::Decode`] if the bytes are not such a value, or hold more than one.
#[inline]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_whole(Input::new(bytes), Limit::now())
}

/// Decodes a value that was encoded in the given form, such as a result of
/// [`run`](crate::backend::run::run), and that must fill `bytes` to the end.
///
/// # Errors
///
/// As [`decode`].
pub fn decode_form<T: DeserializeOwned>(bytes: &[u8], form: Form) -> Result<T, CodecError> {
    decode_value(Source::Own(bytes), form)
}

#[inline(always)]
fn decode_whole<T: DeserializeOwned>(input: Input<'_>, limit: Limit) -> Result<T, CodecError> {
    let mut decoder = Decoder::new(input, limit);
    match T::deserialize(&mut decoder) {
        Ok(value) if decoder.input.len() == 0 => Ok(value),
        Ok(_) => Err(too_many(decoder.input.len())),
        Err(error) => Err(refused(&error)),
    }
}

#[cold]
fn refused(error: &FormError) -> CodecError {
    CodecError::Decode(error.to_string())
}

#[cold]
fn too_many(bytes: usize) -> CodecError {
    CodecError::Decode(format!("{bytes} bytes too many"))
}

/// Decodes the value of the compact form with which `bytes` begin, and returns it and the bytes
/// behind it. It is for values that were encoded one after the other.
///
/// # Errors
///
/// [`CodecError::Decode`] if the bytes do not begin with such a value.
pub fn decode_first<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    let mut decoder = Decoder::new(Input::new(bytes), Limit::now());
    match T::deserialize(&mut decoder) {
        Ok(value) => Ok((value, &bytes[bytes.len() - decoder.input.len()..])),
        Err(error) => Err(CodecError::Decode(error.to_string())),
    }
}

/// Encoded bytes that are to be decoded.
#[derive(Clone, Copy)]
pub(crate) enum Source<'b> {
    /// Memory of this process, which nobody changes.
    Own(&'b [u8]),
    /// Bytes of memory that another process may change meanwhile, from the first position up to the
    /// second.
    Shared(&'b dyn SharedBytes, usize, usize),
}

impl Source<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.len(),
            Self::Shared(_, start, end) => end - start,
        }
    }

    /// The bytes of that range; `None` if the range is not within the bytes.
    pub(crate) fn part(self, part: std::ops::Range<usize>) -> Option<Self> {
        if part.start > part.end || part.end > self.len() {
            return None;
        }
        Some(match self {
            Self::Own(bytes) => Self::Own(&bytes[part]),
            Self::Shared(bytes, start, _) => {
                Self::Shared(bytes, start + part.start, start + part.end)
            }
        })
    }

    /// The first `N` bytes; `None` if there are fewer.
    pub(crate) fn array<const N: usize>(self) -> Option<[u8; N]> {
        let Self::Own(bytes) = self else {
            return self.part(0..N)?.to_vec().first_chunk().copied();
        };
        bytes.first_chunk().copied()
    }

    /// A copy of the bytes.
    pub(crate) fn to_vec(self) -> Vec<u8> {
        match self {
            Self::Own(bytes) => bytes.to_vec(),
            Self::Shared(bytes, start, end) => {
                let mut behind = Behind::new(bytes, start..end);
                Input::of(&mut behind).items(end - start).unwrap_or_default()
            }
        }
    }
}

/// Decodes a value that was encoded in the given form and must fill the bytes to the end.
///
/// # Errors
///
/// As [`decode`].
#[inline]
pub(crate) fn decode_value<T: DeserializeOwned>(
    source: Source<'_>,
    form: Form,
) -> Result<T, CodecError> {
    Setting::new().decode(source, form)
}

#[cold]
#[inline(never)]
fn decode_otherwise<T: DeserializeOwned>(source: Source<'_>, form: Form) -> Result<T, CodecError> {
    let describe = |bytes: &[u8]| {
        let again = loan::Checkpoint::new();
        described::decode(bytes, || again.restore())
            .map_err(|error| CodecError::Decode(error.to_string()))
    };
    match (form, source) {
        (Form::Compact, Source::Own(bytes)) => decode(bytes),
        (Form::Compact, Source::Shared(bytes, start, end)) => {
            decode_whole(Input::of(&mut Behind::new(bytes, start..end)), Limit::now())
        }
        (Form::Described, Source::Own(bytes)) => describe(bytes),
        (Form::Described, shared) => describe(&shared.to_vec()),
    }
}
