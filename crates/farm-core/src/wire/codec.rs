//! Values to bytes and back, so that none arrives changed.
//!
//! Most values go in the *compact* form, which is postcard's: small, fast, never read out of bounds. (A value
//! that asks is written as for people, which in postcard it is not: what is written for machines may be less,
//! such as the address of a socket without its scope.) It
//! has neither names nor kinds, so that it brings back only what is read as it was written. A value of
//! which that is not known yet, or is known not to be so, goes in the *described* form; see
//! `codec/shape.rs` for what is known, and `codec/described.rs` for how it is found out. Every type that goes through
//! JSON and back goes through here, and so do infinite numbers, maps with any keys, and options in options.
//!
//! The farm's own messages are always compact ([`encode`], [`decode`]).
//!
//! Vectors of floats and of bytes are copied as one block inside the same format; other arrays of plain numbers take
//! the short way of [`crate::wire::plain`].

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

/// StealReason a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value's `Serialize` refused.
    #[error("{0}")]
    Encode(String),
    /// The bytes are not those of such a value, or its `Deserialize` refused.
    #[error("{0}")]
    Decode(String),
}

/// In which form a value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As postcard has it.
    Compact,
    /// With kinds and names.
    Described,
}

/// Encodes a value whose `Deserialize` asks for just what its `Serialize` writes, as those do that are
/// derived without attributes.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value refuses, leaves out a field, or does not know a length.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).map(|()| bytes)
}

/// Encodes a value behind what `bytes` holds. After an error, it holds that.
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

/// Encodes a value behind what `output` holds. After an error, it holds that; after a panic, that and maybe more.
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

/// What holds for all values that are encoded one after the other.
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

    /// Decodes a value, as [`decode_value`] does.
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

    /// Decodes a value of the compact form, as [`decode`] does.
    #[inline]
    pub(crate) fn decode_compact<T: DeserializeOwned>(
        &self,
        bytes: &[u8],
    ) -> Result<T, CodecError> {
        decode_whole(Input::new(bytes), self.limit)
    }

    /// Encodes a value of any type behind what `output` holds, in the form in which it arrives as it is. After an error,
    /// `output` holds what it held; after a panic, that and maybe more.
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

/// Encodes a value of any type, as [`Setting::encode`] does.
#[inline]
pub(crate) fn encode_value<T: Serialize + ?Sized>(
    value: &T,
    output: &mut Output<'_>,
) -> Result<Form, CodecError> {
    Setting::new().encode(value, output)
}

/// Puts bytes behind what `output` holds, as [`encode_to`] does.
#[inline]
pub(crate) fn put_to(bytes: &[u8], output: &mut Output<'_>) -> Result<(), CodecError> {
    let before = output.len();
    let mut sink = Sink::new(output);
    let put = sink.extend(bytes);
    let length = sink.length();
    finish(put, length, before, output)
}

/// Notes how much a sink has written to `output`, which held so much `before`.
#[inline(always)]
fn finish(
    encoded: error::Result<()>,
    length: Option<usize>,
    before: usize,
    output: &mut Output<'_>,
) -> Result<(), CodecError> {
    match (encoded, length) {
        (Ok(()), Some(length)) => {
            // SAFETY: the sink has written them.
            unsafe { output.has_written(length) };
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

/// Decodes a value that must fill `bytes` to the end.
///
/// # Errors
///
/// [`CodecError::Decode`] if the bytes are not such a value, or hold more than one.
#[inline]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_whole(Input::new(bytes), Limit::now())
}

/// Decodes a value of any type, such as a result of [`run`](crate::backend::run::run), that must fill `bytes` to the end.
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

/// Decodes the value with which `bytes` begin, and gives what is behind it: for values that were encoded one
/// after the other.
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

/// Where encoded bytes are read from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'b> {
    /// Memory of this process.
    Own(&'b [u8]),
    /// Some bytes of memory that another process may change meanwhile.
    Shared(&'b dyn SharedBytes, usize, usize),
}

impl Source<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Own(bytes) => bytes.len(),
            Self::Shared(_, start, end) => end - start,
        }
    }

    /// Some of the bytes, as far as there are such.
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

    /// The first bytes.
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

/// Decodes a value of any type that must fill the bytes to the end.
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

    /// It moves each time that it grows.
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
