//! The deserializer of the described form.

use serde::de::{Deserializer, Visitor};

use super::super::error::{Cause, Error, Result};
use super::super::serializer::MORE;
use super::super::shape::Kind;
use super::super::stack;
use super::bytes::{
    take_array, take_block, take_byte, take_bytes, take_flag, take_index, take_number, take_signed,
    take_text,
};
use super::items::{Items, Names, visit_numbers};
use super::reading::{By, Reading};
use super::variants::{Chosen, Entry, Variant, content};

/// A deserializer for one value.
pub(super) struct Reader<'r, 'b> {
    pub(super) bytes: &'r mut &'b [u8],
    pub(super) reading: Reading<'r>,
    /// The kind of the value, if its byte was taken off before.
    pub(super) kind: Option<Kind>,
    /// Whether the value is the key of a map, which is text in JSON.
    pub(super) is_key: bool,
}

/// Visits a number as `u64` if that holds it, else as `u128`, as serde_json does.
fn visit_unsigned<'de, V: Visitor<'de>>(number: u128, visitor: V) -> Result<V::Value> {
    match u64::try_from(number) {
        Ok(number) => visitor.visit_u64(number),
        Err(_) => visitor.visit_u128(number),
    }
}

/// Visits a number as `i64` if that holds it, else as one of the wider types.
fn visit_signed<'de, V: Visitor<'de>>(number: i128, by: By, visitor: V) -> Result<V::Value> {
    match i64::try_from(number) {
        // In JSON, a number that is not negative has no sign, and is visited as `u64`.
        Ok(number) if number >= 0 && by == By::Json => visitor.visit_u64(number.cast_unsigned()),
        Ok(number) => visitor.visit_i64(number),
        Err(_) if number > 0 => visit_unsigned(number.cast_unsigned(), visitor),
        Err(_) => visitor.visit_i128(number),
    }
}

impl<'r, 'b> Reader<'r, 'b> {
    pub(super) fn new(bytes: &'r mut &'b [u8], reading: Reading<'r>) -> Self {
        Self { bytes, reading, kind: None, is_key: false }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.reading.is_exact()
    }

    /// Takes the kind of the value off the bytes.
    fn take_kind(&mut self) -> Result<Kind> {
        self.kind.take().map_or_else(|| Kind::of(take_byte(self.bytes)?), Ok)
    }

    fn peek_kind(&mut self) -> Result<Kind> {
        let kind = self.take_kind()?;
        self.kind = Some(kind);
        Ok(kind)
    }

    /// Takes the kind of the value off the bytes, in an exact reading. It must be `kind`.
    fn expect(&mut self, kind: Kind) -> Result<()> {
        if self.take_kind()? == kind { Ok(()) } else { self.reading.fail(Cause::Unlike) }
    }

    fn items(self, names: Names) -> Items<'r, 'b> {
        Items { bytes: self.bytes, reading: self.reading, names, count: 0, is_at_end: false }
    }

    pub(super) fn seq<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        length: Option<usize>,
    ) -> Result<V::Value> {
        let mut items = self.items(Names::None(length));
        let value = visitor.visit_seq(&mut items);
        items.reading.close(value, items.end())
    }

    pub(super) fn named<'de, V: Visitor<'de>>(self, visitor: V, names: Names) -> Result<V::Value> {
        let mut items = self.items(names);
        let value = match names {
            Names::Expected(_) => visitor.visit_seq(&mut items),
            _ => visitor.visit_map(&mut items),
        };
        items.reading.close(value, items.end())
    }

    /// Visits a variant as in JSON: as its name alone, or as a map from its name to its content.
    fn variant<'de, V: Visitor<'de>>(mut self, kind: Kind, visitor: V) -> Result<V::Value> {
        take_index(self.bytes)?;
        let name = take_text(self.bytes)?;
        self.kind = content(kind);
        if kind == Kind::UnitVariant {
            return visitor.visit_str(name);
        }
        let reading = self.reading;
        let mut entry = Entry { name: Some(name), content: Some(self) };
        let value = visitor.visit_map(&mut entry);
        let is_taken = entry.content.is_none();
        reading.close(value, if is_taken { Ok(()) } else { Err(Cause::Unlike.into()) })
    }

    /// Calls `body` one level deeper, with enough stack for that level.
    pub(super) fn descend<T>(self, body: impl FnOnce(Self) -> Result<T>) -> Result<T> {
        let (reading, progress) = (self.reading, self.reading.progress);
        let depth = progress.depth.get();
        if depth == progress.most {
            return reading.fail(Cause::Deep);
        }
        progress.depth.set(depth + 1);
        let value = stack::with(0, || body(self));
        progress.depth.set(depth);
        value
    }

    /// Visits the value as what it is, whatever was asked for.
    pub(super) fn natural<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let bytes = &mut *self.bytes;
        match self.kind.take().map_or_else(|| Kind::of(take_byte(bytes)?), Ok)? {
            Kind::Unit | Kind::None => visitor.visit_unit(),
            Kind::Some => self.content_of_some(visitor),
            Kind::Bool => visitor.visit_bool(take_flag(bytes)?),
            Kind::I8 => {
                let number = i8::from_le_bytes(take_array(bytes)?);
                visit_signed(number.into(), self.reading.by, visitor)
            }
            Kind::I16 | Kind::I32 | Kind::I64 | Kind::I128 => {
                visit_signed(take_signed(bytes)?, self.reading.by, visitor)
            }
            Kind::U8 => visitor.visit_u8(take_byte(bytes)?),
            Kind::U16 | Kind::U32 | Kind::U64 | Kind::U128 => {
                visit_unsigned(take_number(bytes)?, visitor)
            }
            Kind::F32 => visitor.visit_f32(f32::from_le_bytes(take_array(bytes)?)),
            Kind::F64 => visitor.visit_f64(f64::from_le_bytes(take_array(bytes)?)),
            Kind::Char | Kind::Str => visitor.visit_str(take_text(bytes)?),
            Kind::Bytes => {
                let all = take_bytes(bytes)?;
                visit_numbers((Kind::U8, all.len(), all), self.reading, visitor)
            }
            Kind::Block => {
                let block = take_block(bytes)?;
                visit_numbers(block, self.reading, visitor)
            }
            Kind::Seq | Kind::Tuple | Kind::TupleStruct => self.seq(visitor, None),
            Kind::Map => self.named(visitor, Names::Keys),
            Kind::Struct => self.named(visitor, Names::Told),
            kind @ (Kind::UnitVariant
            | Kind::NewtypeVariant
            | Kind::TupleVariant
            | Kind::StructVariant) => self.variant(kind, visitor),
        }
    }

    /// Visits the content of an option for a `Deserialize` that has not asked for an option. By
    /// name, a content that is itself an option or a unit is visited as that of an option.
    fn content_of_some<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let is_told = self.reading.by == By::Name
            && matches!(self.peek_kind()?, Kind::None | Kind::Unit | Kind::Some);
        self.descend(
            |reader| {
                if is_told { visitor.visit_some(reader) } else { reader.natural(visitor) }
            },
        )
    }

    /// Visits the value as text. Keys of maps are text in JSON, and may be numbers here.
    fn textual<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let kind = self.peek_kind()?;
        if !self.is_key {
            return self.natural(visitor);
        }
        match kind {
            Kind::Bool => visitor.visit_string(take_flag(self.bytes)?.to_string()),
            Kind::I8 => {
                visitor.visit_string(i8::from_le_bytes(take_array(self.bytes)?).to_string())
            }
            Kind::U8 => visitor.visit_string(take_byte(self.bytes)?.to_string()),
            Kind::I16 | Kind::I32 | Kind::I64 | Kind::I128 => {
                visitor.visit_string(take_signed(self.bytes)?.to_string())
            }
            Kind::U16 | Kind::U32 | Kind::U64 | Kind::U128 => {
                visitor.visit_string(take_number(self.bytes)?.to_string())
            }
            Kind::F32 => {
                let number = f32::from_le_bytes(take_array(self.bytes)?);
                visitor.visit_string(format!("{number:?}"))
            }
            Kind::F64 => {
                let number = f64::from_le_bytes(take_array(self.bytes)?);
                visitor.visit_string(format!("{number:?}"))
            }
            _ => self.natural(visitor),
        }
    }

    /// Visits the value as a number. The key of a map may be text that stands for a number.
    fn numeric<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if !self.is_key || self.peek_kind()? != Kind::Str {
            return self.natural(visitor);
        }
        let text = take_text(self.bytes)?;
        match (text.parse::<i128>(), text.parse::<u128>()) {
            (Ok(number), _) => visit_signed(number, self.reading.by, visitor),
            (_, Ok(number)) => visit_unsigned(number, visitor),
            _ => match (text.parse(), text.parse()) {
                (Ok(flag), _) => visitor.visit_bool(flag),
                (_, Ok(number)) => visitor.visit_f64(number),
                _ => visitor.visit_str(text),
            },
        }
    }

    /// Visits the value as a float. An `f32` is visited as the `f64` that its shortest text stands
    /// for, as in JSON.
    fn float<'de, V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if self.peek_kind()? != Kind::F32 {
            return self.numeric(visitor);
        }
        let number = f32::from_le_bytes(take_array(self.bytes)?);
        match number.to_string().parse() {
            Ok(wider) if number.is_finite() => visitor.visit_f64(wider),
            _ => visitor.visit_f32(number),
        }
    }
}

macro_rules! scalars {
    ($($method:ident $kind:ident $visit:ident $otherwise:ident $take:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
            if !self.is_exact() {
                return self.$otherwise(visitor);
            }
            self.expect(Kind::$kind)?;
            visitor.$visit($take(self.bytes)?)
        }
    )*};
}

macro_rules! integers {
    ($($method:ident $kind:ident $visit:ident $take:ident $type:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
            if !self.is_exact() {
                return self.numeric(visitor);
            }
            self.expect(Kind::$kind)?;
            let number = $type::try_from($take(self.bytes)?).map_err(|_| Cause::Long)?;
            visitor.$visit(number)
        }
    )*};
}

/// The name of serde_json's type for a piece of JSON that is taken as it is. serde_json writes it
/// as a struct, and asks for a newtype. Source: serde_json, `raw.rs`.
const RAW_VALUE: &str = "$serde_json::private::RawValue";

impl<'de> Deserializer<'de> for Reader<'_, '_> {
    type Error = Error;

    integers! {
        deserialize_i16 I16 visit_i16 take_signed i16;
        deserialize_i32 I32 visit_i32 take_signed i32;
        deserialize_i64 I64 visit_i64 take_signed i64;
        deserialize_i128 I128 visit_i128 take_signed i128;
        deserialize_u16 U16 visit_u16 take_number u16;
        deserialize_u32 U32 visit_u32 take_number u32;
        deserialize_u64 U64 visit_u64 take_number u64;
        deserialize_u128 U128 visit_u128 take_number u128;
    }

    scalars! {
        deserialize_bool Bool visit_bool numeric take_flag;
        deserialize_i8 I8 visit_i8 numeric |b| Ok::<_, Error>(i8::from_le_bytes(take_array(b)?));
        deserialize_u8 U8 visit_u8 numeric take_byte;
        deserialize_f32 F32 visit_f32 numeric |b| Ok::<_, Error>(f32::from_le_bytes(take_array(b)?));
        deserialize_f64 F64 visit_f64 float |b| Ok::<_, Error>(f64::from_le_bytes(take_array(b)?));
        deserialize_str Str visit_str textual take_text;
        deserialize_string Str visit_str textual take_text;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.reading.is_deep {
            return self.reading.fail(Cause::Deep);
        }
        if self.reading.by == By::Json && self.is_key {
            return self.textual(visitor);
        }
        self.deserialize_ignored_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_exact() { self.reading.fail(Cause::Any) } else { self.natural(visitor) }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.is_exact() { self.reading.fail(Cause::Any) } else { self.textual(visitor) }
    }

    fn deserialize_char<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if !self.is_exact() {
            return self.textual(visitor);
        }
        self.expect(Kind::Char)?;
        let mut chars = take_text(self.bytes)?.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => visitor.visit_char(only),
            _ => Err(Cause::Text.into()),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.peek_kind()? {
            Kind::Bytes => visitor.visit_bytes(take_bytes(self.bytes)?),
            _ if self.is_exact() => self.reading.fail(Cause::Unlike),
            Kind::Str => visitor.visit_bytes(take_text(self.bytes)?.as_bytes()),
            _ => self.natural(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        let mut kind = self.take_kind()?;
        if self.is_exact() && !matches!(kind, Kind::None | Kind::Some) {
            return self.reading.fail(Cause::Unlike);
        }
        if kind == Kind::Some && self.reading.by != By::Json {
            return self.descend(|reader| visitor.visit_some(reader));
        }
        while kind == Kind::Some {
            kind = self.take_kind()?;
        }
        if matches!(kind, Kind::None | Kind::Unit) {
            return visitor.visit_none();
        }
        self.kind = Some(kind);
        self.descend(|reader| visitor.visit_some(reader))
    }

    fn deserialize_unit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if !self.is_exact() {
            return self.natural(visitor);
        }
        self.expect(Kind::Unit)?;
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, v: V) -> Result<V::Value> {
        self.deserialize_unit(v)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        if name == RAW_VALUE && !self.is_exact() {
            return self.natural(visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if self.is_exact() && !matches!(self.peek_kind()?, Kind::Seq | Kind::Block) {
            return self.reading.fail(Cause::Unlike);
        }
        self.natural(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, length: usize, v: V) -> Result<V::Value> {
        if !self.is_exact() {
            return self.natural(v);
        }
        self.expect(Kind::Tuple)?;
        self.seq(v, Some(length))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value> {
        if !self.is_exact() {
            return self.natural(visitor);
        }
        self.expect(Kind::TupleStruct)?;
        self.seq(visitor, Some(length))
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        if self.is_exact() && self.peek_kind()? != Kind::Map {
            return self.reading.fail(Cause::Unlike);
        }
        self.natural(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if !self.is_exact() {
            return self.natural(visitor);
        }
        self.expect(Kind::Struct)?;
        self.named(visitor, Names::Expected(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        let mut kind = self.take_kind()?;
        while kind == Kind::Some && !self.is_exact() {
            kind = self.take_kind()?;
        }
        match kind {
            Kind::UnitVariant | Kind::NewtypeVariant | Kind::TupleVariant | Kind::StructVariant => {
                let index = take_index(self.bytes)?;
                let name = take_text(self.bytes)?;
                let is_there = variants.get(index as usize) == Some(&name);
                let reading = self.reading;
                if reading.is_exact() && !is_there {
                    return reading.fail(Cause::Unlike);
                }
                let name = match reading.by {
                    By::Number => Variant::Index(index),
                    _ => Variant::Name(name),
                };
                self.kind = content(kind);
                let value = visitor.visit_enum(Chosen { name, kind, content: self, entry: None });
                value.inspect_err(|_| {
                    // A variant without content has been taken off the bytes as a whole.
                    if kind != Kind::UnitVariant {
                        reading.progress.has_failed.set(true);
                    }
                })
            }
            _ if self.is_exact() => self.reading.fail(Cause::Unlike),
            Kind::Str | Kind::Char => visitor.visit_enum(Chosen {
                name: Variant::Name(take_text(self.bytes)?),
                kind: Kind::UnitVariant,
                content: Reader { kind: Some(Kind::Unit), ..self },
                entry: None,
            }),
            // A map with one entry, which JSON takes for a variant and its content.
            Kind::Map | Kind::Struct => {
                let reading = self.reading;
                if take_byte(self.bytes)? != MORE {
                    return reading.fail(Cause::Unlike);
                }
                match if kind == Kind::Map { Kind::of(take_byte(self.bytes)?)? } else { Kind::Str }
                {
                    Kind::Str | Kind::Char => {}
                    Kind::UnitVariant => drop(take_index(self.bytes)?),
                    _ => return reading.fail(Cause::Unlike),
                }
                let name = Variant::Name(take_text(self.bytes)?);
                let (kind, entry) = (Kind::NewtypeVariant, Some(()));
                let value = visitor.visit_enum(Chosen { name, kind, content: self, entry });
                value.inspect_err(|_| reading.progress.has_failed.set(true))
            }
            other => {
                self.kind = Some(other);
                self.natural(visitor)
            }
        }
    }
}
