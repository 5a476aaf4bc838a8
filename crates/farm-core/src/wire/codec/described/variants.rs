//! Access to variants, of an enum or as JSON has them.

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, VariantAccess, Visitor};

use super::super::error::{Cause, Error, Result};
use super::super::serializer::NO_MORE;
use super::super::shape::Kind;
use super::bytes::take_byte;
use super::items::Names;
use super::reader::Reader;
use super::reading::By;

/// The kind of a variant's content, if the bytes do not tell it.
pub(super) fn content(kind: Kind) -> Option<Kind> {
    match kind {
        Kind::UnitVariant => Some(Kind::Unit),
        Kind::TupleVariant => Some(Kind::Seq),
        Kind::StructVariant => Some(Kind::Struct),
        _ => None,
    }
}

/// Access to a variant as to a map from its name to its content.
pub(super) struct Entry<'r, 'b> {
    pub(super) name: Option<&'b str>,
    pub(super) content: Option<Reader<'r, 'b>>,
}

impl<'de> MapAccess<'de> for &mut Entry<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some(name) = self.name.take() else { return Ok(None) };
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let content = self.content.take().ok_or(Cause::End)?;
        content.descend(|reader| seed.deserialize(reader))
    }
}

/// How a variant is named to `Deserialize`.
pub(super) enum Variant<'b> {
    Index(u32),
    Name(&'b str),
}

/// A variant and its content.
pub(super) struct Chosen<'r, 'b> {
    pub(super) name: Variant<'b>,
    pub(super) kind: Kind,
    pub(super) content: Reader<'r, 'b>,
    /// `Some` if the variant is the only entry of a map, which has to end behind it.
    pub(super) entry: Option<()>,
}

impl<'de, 'r, 'b> EnumAccess<'de> for Chosen<'r, 'b> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name = match self.name {
            Variant::Index(index) => {
                let index: U32Deserializer<Error> = index.into_deserializer();
                seed.deserialize(index)?
            }
            Variant::Name(name) => {
                let name: StrDeserializer<'_, Error> = name.into_deserializer();
                seed.deserialize(name)?
            }
        };
        if self.content.is_exact() {
            self.content.reading.progress.note_variant(&name);
        }
        Ok((name, self))
    }
}

impl Chosen<'_, '_> {
    /// Checks, in an exact reading, that the variant is of that kind.
    fn expect(&self, kind: Kind) -> Result<()> {
        if self.content.is_exact() && self.kind != kind {
            return self.content.reading.fail(Cause::Unlike);
        }
        Ok(())
    }

    /// Reads the content of the variant.
    fn read<T>(self, body: impl FnOnce(Reader<'_, '_>) -> Result<T>) -> Result<T> {
        let Self { content: Reader { bytes, reading, kind, is_key }, entry, .. } = self;
        let value = Reader { bytes: &mut *bytes, reading, kind, is_key }.descend(body)?;
        if entry.is_some() && take_byte(bytes)? != NO_MORE {
            return reading.fail(Cause::Unlike);
        }
        Ok(value)
    }
}

impl<'de> VariantAccess<'de> for Chosen<'_, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        self.expect(Kind::UnitVariant)?;
        self.read(|reader| serde::Deserialize::deserialize(reader))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        self.expect(Kind::NewtypeVariant)?;
        self.read(|reader| seed.deserialize(reader))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value> {
        self.expect(Kind::TupleVariant)?;
        self.read(|reader| match reader.reading.by {
            By::Order | By::Number => reader.seq(visitor, Some(length)),
            _ => reader.natural(visitor),
        })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.expect(Kind::StructVariant)?;
        self.read(|reader| match reader.reading.by {
            By::Order | By::Number => reader.named(visitor, Names::Expected(fields)),
            _ => reader.natural(visitor),
        })
    }
}
