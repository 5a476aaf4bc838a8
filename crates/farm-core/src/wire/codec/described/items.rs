//! Access to the elements of sequences and maps, and to the fields of structs.

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::super::error::{Cause, Error, Result};
use super::super::serializer::{MORE, NO_MORE};
use super::super::shape::Kind;
use super::bytes::{take_byte, take_text};
use super::reader::Reader;
use super::reading::Reading;

/// The names of fields, and how they are compared.
#[derive(Clone, Copy)]
pub(super) enum Names {
    /// There are no names. If a number is given, so many values are expected.
    None(Option<usize>),
    /// The bytes name each field.
    Told,
    /// The bytes name each field, and the names must be these, in this order.
    Expected(&'static [&'static str]),
    /// The entries of a map, whose keys are values.
    Keys,
}

/// The elements of a sequence or a map, or the fields of a struct.
pub(super) struct Items<'r, 'b> {
    pub(super) bytes: &'r mut &'b [u8],
    pub(super) reading: Reading<'r>,
    pub(super) names: Names,
    pub(super) count: usize,
    pub(super) is_at_end: bool,
}

impl<'b> Items<'_, 'b> {
    /// Takes the byte before an element off the bytes, and returns whether one more element comes.
    fn take_next(&mut self) -> Result<bool> {
        if self.is_at_end {
            return Ok(false);
        }
        let expected = match self.names {
            Names::None(expected) => expected,
            Names::Expected(names) => Some(names.len()),
            Names::Told | Names::Keys => None,
        };
        if expected == Some(self.count) {
            return Ok(false);
        }
        match take_byte(self.bytes)? {
            MORE => {
                self.count += 1;
                Ok(true)
            }
            // In the compact form, the bytes behind would be taken for the missing value.
            NO_MORE if expected.is_some() => self.reading.fail(Cause::Unlike),
            NO_MORE => {
                self.is_at_end = true;
                Ok(false)
            }
            _ => Err(Cause::Flag.into()),
        }
    }

    /// Checks that all elements are taken.
    pub(super) fn end(&mut self) -> Result<()> {
        if self.is_at_end || take_byte(self.bytes)? == NO_MORE {
            Ok(())
        } else {
            Err(Cause::Unlike.into())
        }
    }

    fn one(&mut self, is_key: bool) -> Reader<'_, 'b> {
        Reader { bytes: self.bytes, reading: self.reading, kind: None, is_key }
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if !self.take_next()? {
            return Ok(None);
        }
        if let Names::Expected(names) = self.names
            && names.get(self.count - 1) != Some(&take_text(self.bytes)?)
        {
            return self.reading.fail(Cause::Unlike);
        }
        self.one(false).descend(|reader| seed.deserialize(reader)).map(Some)
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if !self.take_next()? {
            return Ok(None);
        }
        if matches!(self.names, Names::Told) {
            // The name of a field is text, which may stand for a number.
            let name = Reader { kind: Some(Kind::Str), ..self.one(true) };
            return seed.deserialize(name).map(Some);
        }
        self.one(true).descend(|reader| seed.deserialize(reader)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        self.one(false).descend(|reader| seed.deserialize(reader))
    }
}

/// Numbers that lie together in a block, or bytes.
pub(super) struct Numbers<'r, 'b> {
    pub(super) kind: Kind,
    pub(super) bytes: &'b [u8],
    pub(super) left: usize,
    pub(super) reading: Reading<'r>,
}

impl<'de> SeqAccess<'de> for &mut Numbers<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (kind, reading) = (Some(self.kind), self.reading);
        seed.deserialize(Reader { bytes: &mut self.bytes, reading, kind, is_key: false }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

pub(super) fn visit_numbers<'de, V: Visitor<'de>>(
    (kind, left, bytes): (Kind, usize, &[u8]),
    reading: Reading<'_>,
    visitor: V,
) -> Result<V::Value> {
    let mut numbers = Numbers { kind, bytes, left, reading };
    let value = visitor.visit_seq(&mut numbers);
    // All numbers were taken off the bytes before, so what is behind can be read even after an
    // error.
    match value {
        Ok(_) if numbers.left > 0 => reading.fail(Cause::Unlike),
        value => value,
    }
}
