//! Reads the compact form: what the serializer writes, and what postcard reads.
//!
//! Vectors of numbers are copied as one block (see [`bulk`]) wherever they are in a value. A
//! decoded value borrows nothing from the bytes.

use std::marker::PhantomData;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::bulk;
use super::error::{Cause, Error, Result};
use super::input::Input;
use super::stack::{Limit, on_a_new_piece};

/// Decodes values from its input, one after the other.
pub(super) struct Decoder<'a> {
    pub(super) input: Input<'a>,
    limit: Limit,
}

impl<'a> Decoder<'a> {
    #[inline]
    pub(super) fn new(input: Input<'a>, limit: Limit) -> Self {
        Self { input, limit }
    }

    /// Decodes a value inside another one. The stack is checked here.
    #[inline]
    fn inner<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        if self.limit.is_near() { self.inner_on_a_new_piece(seed) } else { seed.deserialize(self) }
    }

    /// Refuses a length that exceeds the bytes that are left, since each element takes at least a
    /// byte. Values whose elements take less go in the described form; if they were accepted here,
    /// a few bytes could make a loop run for years.
    #[inline]
    fn check_length(&self, length: usize) -> Result<()> {
        if length > self.input.len() { Err(Cause::End.into()) } else { Ok(()) }
    }

    #[cold]
    #[inline(never)]
    fn inner_on_a_new_piece<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value> {
        on_a_new_piece(|limit| {
            let outer = std::mem::replace(&mut self.limit, limit);
            let value = seed.deserialize(&mut *self);
            self.limit = outer;
            value
        })
    }
}

macro_rules! arrays {
    ($($method:ident $visit:ident $type:ty)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(<$type>::from_le_bytes(self.input.array()?))
        }
    )*};
}

macro_rules! varints {
    ($($method:ident $visit:ident $type:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(self.input.varint($type::BITS)? as $type)
        }
    )*};
}

macro_rules! zigzags {
    ($($method:ident $visit:ident $type:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            visitor.$visit(unzigzag(self.input.varint($type::BITS)?) as $type)
        }
    )*};
}

macro_rules! not_told {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value> {
            Err(Cause::Any.into())
        }
    )*};
}

#[inline]
fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

impl<'de> Deserializer<'de> for &mut Decoder<'_> {
    type Error = Error;

    arrays! {
        deserialize_i8 visit_i8 i8
        deserialize_u8 visit_u8 u8
        deserialize_f32 visit_f32 f32
        deserialize_f64 visit_f64 f64
    }

    varints! {
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    zigzags! {
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
    }

    not_told! { deserialize_any deserialize_identifier deserialize_ignored_any }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.input.byte()? {
            0 => visitor.visit_bool(false),
            1 => visitor.visit_bool(true),
            _ => Err(Cause::Flag.into()),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_u128(self.input.long_varint()?)
    }

    fn deserialize_i128<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let v = self.input.long_varint()?;
        visitor.visit_i128((v >> 1) as i128 ^ -((v & 1) as i128))
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let length = self.input.length()?;
        if length > 4 {
            return Err(Cause::Text.into());
        }
        let mut bytes = [0; 4];
        for byte in &mut bytes[..length] {
            *byte = self.input.byte()?;
        }
        let text = std::str::from_utf8(&bytes[..length]).map_err(|_| Cause::Text)?;
        visitor.visit_char(text.chars().next().ok_or(Cause::Text)?)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let length = self.input.length()?;
        let mut visitor = Some(visitor);
        let near = self.input.bytes(length, |bytes| {
            let text = std::str::from_utf8(bytes).map_err(|_| Cause::Text)?;
            visitor.take().map(|visitor| visitor.visit_str(text)).ok_or(Cause::End)?
        })?;
        match (near, visitor) {
            (Ok(value), _) => Ok(value),
            (Err(bytes), Some(visitor)) => {
                visitor.visit_string(String::from_utf8(bytes).map_err(|_| Cause::Text)?)
            }
            (Err(_), None) => Err(Cause::End.into()),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let length = self.input.length()?;
        let visitor = match bulk::take_block(length, &mut self.input, visitor) {
            Ok(taken) => return taken,
            Err(visitor) => visitor,
        };
        let mut visitor = Some(visitor);
        let near = self.input.bytes(length, |bytes| {
            visitor.take().map(|visitor| visitor.visit_bytes(bytes)).ok_or(Cause::End)?
        })?;
        match (near, visitor) {
            (Ok(value), _) => Ok(value),
            (Err(bytes), Some(visitor)) => visitor.visit_byte_buf(bytes),
            (Err(_), None) => Err(Cause::End.into()),
        }
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.input.byte()? {
            0 => visitor.visit_none(),
            1 => self.inner(Some_(visitor, PhantomData)),
            _ => Err(Cause::Flag.into()),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, v: V) -> Result<V::Value> {
        v.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let length = self.input.length()?;
        if let Some(taken) = bulk::take::<V>(length, &mut self.input) {
            return taken;
        }
        self.check_length(length)?;
        visitor.visit_seq(Items { decoder: self, left: length })
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Items { decoder: self, left: length })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Items { decoder: self, left: length })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let length = self.input.length()?;
        self.check_length(length)?;
        visitor.visit_map(Items { decoder: self, left: length })
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Items { decoder: self, left: fields.len() })
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_enum(self)
    }
}

/// The content of an option.
struct Some_<'de, V>(V, PhantomData<&'de ()>);

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Some_<'de, V> {
    type Value = V::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<V::Value, D::Error> {
        self.0.visit_some(deserializer)
    }
}

/// Access to `left` values one after the other.
struct Items<'a, 'i> {
    decoder: &'a mut Decoder<'i>,
    left: usize,
}

impl Items<'_, '_> {
    #[inline]
    fn take_next(&mut self) -> bool {
        let has = self.left > 0;
        self.left -= usize::from(has);
        has
    }

    /// The number of values that are left, unless it exceeds the bytes that are left: visitors
    /// reserve memory for so many.
    #[inline]
    fn hint(&self) -> Option<usize> {
        (self.left <= self.decoder.input.len()).then_some(self.left)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.take_next() {
            return Ok(None);
        }
        self.decoder.inner(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        self.next_element_seed(seed)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.decoder.inner(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> EnumAccess<'de> for &mut Decoder<'_> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let index = self.input.varint(u32::BITS)? as u32;
        Ok((seed.deserialize(IntoDeserializer::<Error>::into_deserializer(index))?, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Decoder<'_> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.inner(seed)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Items { decoder: self, left: length })
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(Items { decoder: self, left: fields.len() })
    }
}
