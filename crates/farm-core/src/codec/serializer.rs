//! postcard's serializer, made to encode long sequences without going through memory for each item.
//!
//! What it writes is what postcard writes. But postcard hands on a reference to
//! itself with every item of a sequence, and so has to load and store the end of the output for each. Here a
//! sequence has the output to itself until it ends, and the compiler can keep it in registers.

use std::fmt::Display;

use postcard::ser_flavors::Flavor as _;
use postcard::{Error, Result};
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::plainly;
use super::sink::Sink;

/// Encodes into a sink.
pub(super) struct Encoder<'m>(postcard::Serializer<Sink<'m>>);

impl<'m> Encoder<'m> {
    #[inline]
    pub(super) fn new(sink: Sink<'m>) -> Self {
        Self(postcard::Serializer { output: sink })
    }

    #[inline]
    pub(super) fn into_sink(self) -> Sink<'m> {
        self.0.output
    }

    /// Seven bits to a byte, the lowest first; the highest bit says that more follow. postcard puts them together
    /// elsewhere and then copies them, a call for each number.
    #[inline]
    fn varint(&mut self, mut bits: u64) -> Result<()> {
        while bits >= 0x80 {
            self.0.output.try_push(bits as u8 | 0x80)?;
            bits >>= 7;
        }
        self.0.output.try_push(bits as u8)
    }

    #[inline]
    fn take(&mut self) -> Self {
        Self::new(std::mem::take(&mut self.0.output))
    }
}

/// A sequence that is being encoded, with the output that it has taken from `outer` and gives back at its end.
///
/// It does not do so where it is dropped: that would have to be possible at each item, and so the output would lie in
/// memory again. After an error, or without an end, nothing more can be encoded.
pub(super) struct Sequence<'a, 'm> {
    outer: &'a mut Encoder<'m>,
    own: Encoder<'m>,
}

impl SerializeSeq for Sequence<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<()> {
        item.serialize(&mut self.own)
    }

    #[inline]
    fn end(self) -> Result<()> {
        *self.outer = self.own;
        Ok(())
    }
}

macro_rules! leave_to_postcard {
    ($($method:ident($($name:ident: $type:ty),*))*) => {$(
        #[inline]
        fn $method(self, $($name: $type),*) -> Result<()> {
            self.0.$method($($name),*)
        }
    )*};
}

macro_rules! varints {
    ($($method:ident($name:ident: $type:ty) $bits:expr)*) => {$(
        #[inline]
        fn $method(self, $name: $type) -> Result<()> {
            self.varint(u64::from($bits))
        }
    )*};
}

/// Small numbers of either sign as small numbers.
#[inline]
fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

impl<'a, 'm> Serializer for &'a mut Encoder<'m> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Sequence<'a, 'm>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    leave_to_postcard! {
        serialize_bool(v: bool)
        serialize_i8(v: i8)
        serialize_i128(v: i128)
        serialize_u8(v: u8)
        serialize_u128(v: u128)
        serialize_f32(v: f32)
        serialize_f64(v: f64)
        serialize_char(v: char)
        serialize_str(v: &str)
        serialize_bytes(v: &[u8])
        serialize_none()
        serialize_unit()
        serialize_unit_struct(name: &'static str)
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str)
    }

    varints! {
        serialize_u16(v: u16) v
        serialize_u32(v: u32) v
        serialize_u64(v: u64) v
        serialize_i16(v: i16) zigzag(v.into())
        serialize_i32(v: i32) zigzag(v.into())
        serialize_i64(v: i64) zigzag(v)
    }

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Result<()> {
        self.0.collect_str(value)
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<()> {
        // A bool is the byte that tells whether there is something.
        self.0.serialize_bool(true)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        value: &T,
    ) -> Result<()> {
        self.varint(index.into())?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Sequence<'a, 'm>> {
        self.0.serialize_seq(len)?;
        Ok(Sequence { own: self.take(), outer: self })
    }

    /// Vectors and slices come here.
    #[inline]
    fn collect_seq<I>(self, items: I) -> Result<()>
    where
        I: IntoIterator<Item: Serialize>,
    {
        if let Some((length, bytes)) = plainly::as_bytes(&items) {
            self.varint(length as u64)?;
            return self.0.output.try_extend(bytes);
        }
        let items = items.into_iter();
        let length = match items.size_hint() {
            (least, Some(most)) if least == most => Some(least),
            _ => None,
        };
        let mut sequence = self.serialize_seq(length)?;
        for item in items {
            sequence.serialize_element(&item)?;
        }
        sequence.end()
    }

    #[inline]
    fn serialize_tuple(self, _len: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self> {
        self.varint(index.into())?;
        Ok(self)
    }

    #[inline]
    fn serialize_map(self, len: Option<usize>) -> Result<Self> {
        self.0.serialize_map(len)?;
        Ok(self)
    }

    #[inline]
    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<Self> {
        Ok(self)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        index: u32,
        _variant: &'static str,
        _len: usize,
    ) -> Result<Self> {
        self.varint(index.into())?;
        Ok(self)
    }
}

macro_rules! encode_one_after_the_other {
    ($($trait:ident: $method:ident($($name:ident: $type:ty)?))*) => {$(
        impl $trait for &mut Encoder<'_> {
            type Ok = ();
            type Error = Error;

            #[inline]
            fn $method<T: Serialize + ?Sized>(&mut self, $($name: $type,)? value: &T) -> Result<()> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<()> {
                Ok(())
            }
        }
    )*};
}

encode_one_after_the_other! {
    SerializeTuple: serialize_element()
    SerializeTupleStruct: serialize_field()
    SerializeTupleVariant: serialize_field()
    SerializeStruct: serialize_field(_key: &'static str)
    SerializeStructVariant: serialize_field(_key: &'static str)
}

impl SerializeMap for &mut Encoder<'_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<()> {
        Ok(())
    }
}
