//! Encoded values that are damaged before they are received.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use farm_core::Data;
use farm_core::codec::Form;
use serde::{Serialize, Serializer};

use super::any_kind;
use super::text::deeply;
use crate::forms;

/// The most bytes that are made from one input. A value can be nested as deep as it has bytes, and
/// the types here are dropped on the thread's stack, level by level.
const MOST_BYTES: usize = 8 << 10;

/// Receives any bytes, or a damaged encoding, as a value of some type.
///
/// # Errors
///
/// If the input has too few bytes for them.
pub fn receive_damaged(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (kind, form) = (any_kind(u)?, any_form(u)?);
    let to = if u.ratio(1, 8)? { any_kind(u)? } else { kind };
    let damage: Vec<Damage> = u.arbitrary()?;
    let mut bytes =
        if u.ratio(1, 4)? { u.bytes(u.len())?.to_vec() } else { (kind.encode)(u, form, 1)? };
    damage.into_iter().for_each(|damage| damage.apply(&mut bytes));
    (to.receive)(form, &bytes);
    Ok(())
}

pub(super) fn any_form(u: &mut Unstructured<'_>) -> arbitrary::Result<Form> {
    Ok(if u.arbitrary()? { Form::Described } else { Form::Compact })
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Damage {
    Flip {
        at: u16,
        bit: u8,
    },
    Set {
        at: u16,
        byte: u8,
    },
    /// Overwrites one of the words that follow a described value.
    Word {
        last: u8,
        number: u64,
    },
    Cut {
        at: u16,
    },
    Leave {
        at: u16,
        bytes: u8,
    },
    Repeat {
        at: u16,
        bytes: u8,
        times: u16,
    },
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>) {
        let place = |at: u16| usize::from(at) % (bytes.len() + 1);
        match self {
            Self::Flip { at, bit } => {
                let at = place(at);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << (bit % 8));
            }
            Self::Set { at, byte } => {
                let at = place(at);
                bytes.get_mut(at).into_iter().for_each(|old| *old = byte);
            }
            Self::Word { last, number } => {
                let end = bytes.len().saturating_sub(8 * usize::from(last % 8));
                if let Some(word) = bytes[..end].last_chunk_mut() {
                    *word = number.to_le_bytes();
                }
            }
            Self::Cut { at } => bytes.truncate(place(at)),
            Self::Leave { at, bytes: count } => {
                let start = place(at);
                let end = (start + usize::from(count)).min(bytes.len());
                bytes.drain(start..end);
            }
            Self::Repeat { at, bytes: count, times } => {
                let start = place(at);
                let part = &bytes[start..(start + usize::from(count)).min(bytes.len())];
                let room = MOST_BYTES.saturating_sub(bytes.len()) / part.len().max(1);
                let more = part.repeat(room.min(times.into()));
                bytes.splice(start..start, more);
            }
        }
    }
}

/// Encodes a value of type `T` or, if `times` is not 1, a sequence of `times` such values.
pub(super) fn encode<T>(
    u: &mut Unstructured<'_>,
    form: Form,
    times: usize,
) -> arbitrary::Result<Vec<u8>>
where
    T: Data + Debug + for<'a> Arbitrary<'a>,
{
    let value: T = u.arbitrary()?;
    // A value without a compact encoding becomes no bytes at all, which is damage enough.
    let bytes = match times {
        1 => forms::encode_in(form, &value),
        _ => forms::encode_in(form, &Repeated(&value, times)),
    };
    deeply(move || drop(value));
    Ok(bytes.unwrap_or_default())
}

struct Repeated<'a, T>(&'a T, usize);

impl<T: Serialize> Serialize for Repeated<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(std::iter::repeat_n(self.0, self.1))
    }
}
