//! The pieces of the described form. Each function takes one off the front of the bytes.

use super::super::error::{Cause, Result};
use super::super::input::Input;
use super::super::shape::Kind;

impl Kind {
    pub(super) fn of(byte: u8) -> Result<Self> {
        const KINDS: [Kind; 29] = [
            Kind::Unit,
            Kind::Bool,
            Kind::I8,
            Kind::I16,
            Kind::I32,
            Kind::I64,
            Kind::I128,
            Kind::U8,
            Kind::U16,
            Kind::U32,
            Kind::U64,
            Kind::U128,
            Kind::F32,
            Kind::F64,
            Kind::Char,
            Kind::Str,
            Kind::Bytes,
            Kind::None,
            Kind::Some,
            Kind::Seq,
            Kind::Tuple,
            Kind::Map,
            Kind::Struct,
            Kind::TupleStruct,
            Kind::UnitVariant,
            Kind::NewtypeVariant,
            Kind::TupleVariant,
            Kind::StructVariant,
            Kind::Block,
        ];
        let kind = usize::from(byte).checked_sub(1).and_then(|n| KINDS.get(n));
        kind.copied().ok_or_else(|| Cause::Kind.into())
    }
}

pub(super) fn take_byte(bytes: &mut &[u8]) -> Result<u8> {
    bytes.split_off_first().copied().ok_or_else(|| Cause::End.into())
}

pub(super) fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>().ok_or(Cause::End)?;
    *bytes = rest;
    Ok(*array)
}

pub(super) fn take_number(bytes: &mut &[u8]) -> Result<u128> {
    let mut input = Input::new(bytes);
    let number = input.long_varint()?;
    *bytes = &bytes[bytes.len() - input.len()..];
    Ok(number)
}

pub(super) fn take_signed(bytes: &mut &[u8]) -> Result<i128> {
    let number = take_number(bytes)?;
    Ok((number >> 1) as i128 ^ -((number & 1) as i128))
}

pub(super) fn take_bytes<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8]> {
    let length = usize::try_from(take_number(bytes)?).map_err(|_| Cause::Long)?;
    bytes.split_off(..length).ok_or_else(|| Cause::End.into())
}

pub(super) fn take_text<'b>(bytes: &mut &'b [u8]) -> Result<&'b str> {
    std::str::from_utf8(take_bytes(bytes)?).map_err(|_| Cause::Text.into())
}

pub(super) fn take_index(bytes: &mut &[u8]) -> Result<u32> {
    u32::try_from(take_number(bytes)?).map_err(|_| Cause::Long.into())
}

pub(super) fn take_flag(bytes: &mut &[u8]) -> Result<bool> {
    match take_byte(bytes)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Cause::Flag.into()),
    }
}

pub(super) fn take_block<'b>(bytes: &mut &'b [u8]) -> Result<(Kind, usize, &'b [u8])> {
    let kind = Kind::of(take_byte(bytes)?)?;
    let size = size_of_number(kind).ok_or(Cause::Kind)?;
    let length = usize::try_from(take_number(bytes)?).map_err(|_| Cause::Long)?;
    let all = length.checked_mul(size).and_then(|all| bytes.split_off(..all)).ok_or(Cause::End)?;
    Ok((kind, length, all))
}

/// The size of a number of that kind, if numbers of that kind lie in blocks.
pub(super) fn size_of_number(kind: Kind) -> Option<usize> {
    match kind {
        Kind::F64 => Some(8),
        Kind::F32 => Some(4),
        Kind::U8 | Kind::I8 => Some(1),
        _ => None,
    }
}
