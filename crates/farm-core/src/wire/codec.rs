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
//! In the master, `backend/encode.rs` encodes arguments and `backend/decode.rs` decodes results; in
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::plain::Plain;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Shape {
        Point,
        Line(f64, f64),
        Named { name: String, corners: Vec<(i32, Option<u8>)> },
    }

    fn shape() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Point),
            (any::<f64>(), any::<f64>()).prop_map(|(a, b)| Shape::Line(a, b)),
            (".*", prop::collection::vec(any::<(i32, Option<u8>)>(), 0..20))
                .prop_map(|(name, corners)| Shape::Named { name, corners }),
        ]
    }

    /// Every kind of value that serde knows.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        unsigned: (u8, u16, u32, u64, u128, usize),
        signed: (i8, i16, i32, i64, i128, isize),
        others: (bool, char, f32, f64, ()),
        shapes: Vec<Vec<Shape>>,
        wrapped: Option<Wrapped>,
        numbers: Vec<f64>,
        map: BTreeMap<String, [i16; 3]>,
        kinds: [Kind; 3],
        bytes: Plain<u16>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Box<(Option<bool>, String)>);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Pair(u64, i64);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Kind {
        One(u64),
        Two(Nothing, Pair),
        Three { text: DisplayedAsText },
    }

    #[derive(Clone, Debug, PartialEq)]
    struct DisplayedAsText(i64);

    impl<'de> Deserialize<'de> for DisplayedAsText {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let text = String::deserialize(deserializer)?;
            let number = text.trim_matches(['<', '>']).parse();
            number.map(Self).map_err(serde::de::Error::custom)
        }
    }

    impl Serialize for DisplayedAsText {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(&format_args!("<{}>", self.0))
        }
    }

    /// A buffer whose room moves each time that it grows.
    #[derive(Debug)]
    struct Moving {
        room: Vec<u8>,
        shortest: usize,
        most: usize,
    }

    impl OutputBuffer for Moving {
        fn shortest(&self) -> usize {
            self.shortest
        }

        fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
            if bytes > self.most {
                return None;
            }
            if bytes > self.room.len() {
                let mut room = vec![0; bytes];
                room[..used].copy_from_slice(&self.room[..used]);
                self.room = room;
            }
            Some(&mut self.room)
        }
    }

    fn buffer() -> impl Strategy<Value = Moving> {
        let some = (0_usize..400, 0_usize..800);
        some.prop_map(|(shortest, most)| Moving { room: Vec::new(), shortest, most })
    }

    fn everything() -> impl Strategy<Value = Everything> {
        let map = prop::collection::btree_map(".*", any::<[i16; 3]>(), 0..3);
        let shapes = prop::collection::vec(prop::collection::vec(shape(), 0..3), 0..3);
        let numbers = prop::collection::vec(any::<f64>(), 0..20);
        let single =
            (any::<(u8, u16, u32, u64, u128, usize)>(), any::<(i8, i16, i32, i64, i128, isize)>());
        let others = any::<(bool, char, f32, f64, ())>();
        let wrapped = any::<Option<(Option<bool>, String)>>();
        (single, others, shapes, wrapped, numbers, map).prop_map(
            |((unsigned, signed), others, shapes, wrapped, numbers, map)| Everything {
                kinds: [
                    Kind::One(unsigned.3),
                    Kind::Two(Nothing, Pair(unsigned.3 >> 20, signed.3 >> 40)),
                    Kind::Three { text: DisplayedAsText(signed.3) },
                ],
                bytes: Plain(vec![unsigned.1; map.len()]),
                wrapped: wrapped.map(|wrapped| Wrapped(Box::new(wrapped))),
                unsigned,
                signed,
                others,
                shapes,
                numbers,
                map,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in shape()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Shape>(&bytes).unwrap(), value);
        }

        #[test]
        fn the_bytes_are_those_of_postcard(value in everything(), change: u8, buffer in buffer()) {
            let bytes = postcard::to_stdvec(&value).unwrap();
            prop_assert_eq!(encode(&value).unwrap(), &*bytes);

            let back: Everything = decode(&bytes).unwrap();
            prop_assert_eq!(encode(&back).unwrap(), &*bytes);
            let changed = [&bytes[..bytes.len() / 2], &[change], &bytes[bytes.len() / 2 + 1..]].concat();
            let ours = decode_first::<Everything>(&changed).ok();
            let theirs = postcard::take_from_bytes::<Everything>(&changed).ok();
            prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));

            let mut behind = vec![7; 3];
            encode_into(&value, &mut behind).unwrap();
            prop_assert_eq!(&behind[3..], &*bytes);

            let mut buffer = buffer;
            let mut output = Output::new(vec![7; 3], Some(&mut buffer));
            encode_to(&value, &mut output).unwrap();
            encode_to(&1_u8, &mut output).unwrap();
            prop_assert_eq!(output.len(), behind.len() + 1);
            behind.push(1);
            match output.finish() {
                Encoded::Heap(heap) => prop_assert_eq!(heap, behind),
                Encoded::Buffered(length) => prop_assert_eq!(&buffer.room[..length], behind),
            }
        }

        #[test]
        fn vectors_of_numbers_are_encoded_and_decoded_as_any_others(
            items in prop::collection::vec(any::<u64>(), 0..200),
            cut in 0_usize..2000,
        ) {
            fn check<N>(items: Vec<N>, cut: usize)
            where
                N: bytemuck::Pod + Serialize + DeserializeOwned,
            {
                let bytes = postcard::to_stdvec(&items).unwrap();
                assert_eq!(encode(&items).unwrap(), bytes);
                assert_eq!(encode(items.as_slice()).unwrap(), bytes);
                assert_eq!(encode(&[items.clone(), items.clone()]).unwrap()[..bytes.len()], bytes);
                let back: Vec<N> = decode(&bytes).unwrap();
                assert_eq!(bytemuck::cast_slice::<_, u8>(&back), bytemuck::cast_slice::<_, u8>(&items));
                assert!(decode::<Vec<N>>(&[&*bytes, &[0]].concat()).is_err());
                assert!(decode::<Vec<N>>(&bytes[..cut.min(bytes.len() - 1)]).is_err());
            }
            check::<f64>(items.iter().copied().map(f64::from_bits).collect(), cut);
            check::<f32>(items.iter().map(|x| f32::from_bits(*x as u32)).collect(), cut);
            check::<u8>(items.iter().map(|x| *x as u8).collect(), cut);
            check::<i8>(items.iter().map(|x| *x as i8).collect(), cut);
            check::<u64>(items, cut);
        }

        #[test]
        fn values_one_after_the_other_are_decoded_in_turn(value in shape(), number in any::<i64>()) {
            let mut bytes = encode(&value).unwrap();
            encode_into(&number, &mut bytes).unwrap();
            bytes.push(9);
            let (first, rest) = decode_first::<Shape>(&bytes).unwrap();
            let (second, rest) = decode_first::<i64>(rest).unwrap();
            prop_assert_eq!((first, second, rest), (value, number, &[9][..]));
            prop_assert!(decode_first::<Shape>(&[]).is_err());
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Shape>(&bytes);
            let _ = decode::<Vec<Shape>>(&bytes);
            let _ = decode::<crate::wire::plain::Plain<f64>>(&bytes);
            let _ = decode::<crate::wire::message::FromWorker>(&bytes);
        }

        #[test]
        fn bytes_left_over_are_an_error(value in shape(), extra in 1_usize..5) {
            let mut bytes = encode(&value).unwrap();
            bytes.extend(std::iter::repeat_n(0, extra));
            prop_assert!(decode::<Shape>(&bytes).is_err());
        }
    }

    #[test]
    fn a_visitor_of_ones_own_is_asked_for_each_number() {
        #[derive(Deserialize)]
        struct Halved(#[serde(deserialize_with = "halved")] Vec<f64>);
        fn halved<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
            struct Halve;
            impl<'de> serde::de::Visitor<'de> for Halve {
                type Value = Vec<f64>;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("numbers")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut seq: A,
                ) -> Result<Vec<f64>, A::Error> {
                    let mut all = Vec::new();
                    while let Some(number) = seq.next_element::<f64>()? {
                        all.push(number / 2.0);
                    }
                    Ok(all)
                }
            }
            deserializer.deserialize_seq(Halve)
        }
        let bytes = encode(&vec![2.0, 4.0]).unwrap();
        assert_eq!(decode::<Halved>(&bytes).unwrap().0, [1.0, 2.0]);
        assert_eq!(decode::<Vec<f64>>(&bytes).unwrap(), [2.0, 4.0]);
        assert!(
            decode::<Vec<f64>>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err()
        );
    }

    #[test]
    fn what_a_shelf_has_lost_is_not_passed_over() {
        struct Forgetful(Option<Vec<u8>>);
        impl OutputBuffer for Forgetful {
            fn shortest(&self) -> usize {
                0
            }

            fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
                if used > 0 {
                    return None;
                }
                Some(self.0.insert(vec![0; bytes]))
            }
        }
        let mut buffer = Forgetful(None);
        let mut output = Output::new(Vec::new(), Some(&mut buffer));
        encode_to(&[1_u8; 30], &mut output).unwrap();
        assert!(encode_to(&1_u8, &mut output).is_err());
    }

    #[test]
    fn a_value_that_ignores_that_it_is_unsuited_is_described_from_its_beginning() {
        struct Ignores;
        impl Serialize for Ignores {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let erased: &dyn erased_serde::Serialize = &Pair(7, -7);
                let mut tuple = serializer.serialize_tuple(3)?;
                tuple.serialize_element(&5_u8)?;
                let _ = tuple.serialize_element(erased);
                tuple.serialize_element(&1_u8)?;
                tuple.end()
            }
        }
        let mut output = Output::from(vec![9]);
        let form = encode_value(&Ignores, &mut output).unwrap();
        assert_eq!(form, Form::Described);
        let bytes = output.into_heap();
        assert_eq!(bytes[0], 9);
        let value: (u8, Pair, u8) = decode_form(&bytes[1..], form).unwrap();
        assert_eq!(value, (5, Pair(7, -7), 1));
    }

    #[test]
    fn what_goes_on_after_an_error_is_not_half_encoded() {
        struct Stubborn;
        impl Serialize for Stubborn {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut tuple = serializer.serialize_tuple(2)?;
                let _ = tuple.serialize_element(&[Refuses][..]);
                tuple.serialize_element(&1_u8)?;
                tuple.end()
            }
        }
        struct Refuses;
        impl Serialize for Refuses {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("no"))
            }
        }
        let error = encode(&Stubborn).unwrap_err().to_string();
        assert!(error.contains("went on after an error"), "{error}");

        struct Endless;
        impl Serialize for Endless {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let _ = serializer.serialize_seq(Some(0))?;
                Err(serde::ser::Error::custom("it has no end"))
            }
        }
        struct Lenient;
        impl Serialize for Lenient {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut tuple = serializer.serialize_tuple(1)?;
                let _ = tuple.serialize_element(&Endless);
                tuple.end()
            }
        }
        assert!(encode(&Lenient).is_err());
    }
}
