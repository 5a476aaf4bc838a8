//! The described form, for values that the compact form cannot hold or is not known to bring back.
//!
//! A described value is decoded in up to three readings, of which the first that succeeds counts:
//!
//! 1. *Exact*: the value is read as the compact form would be, and each kind and name is compared
//!    with what `Deserialize` asks for. If that succeeds, the compact form would have brought the
//!    value back, and its facts become [known](super::known).
//! 2. *By name*: the value is read as JSON would be, except that nested options stay what they are.
//! 3. *As JSON*: an option that holds a value is that value, and one that holds none is null.
//!
//! ```text
//! value │ facts │ root │ whether to read exactly │ number of facts │ depth
//! ```
//!
//! The numbers are `u64`, little-endian. If the exact reading cannot succeed, it is left out, and
//! the facts as well. That is so if the compact form cannot hold the value, or if the *root* is
//! known: a fact that stands for values of this type with this beginning, and that becomes known
//! when such a value was read by name or as JSON.
//!
//! Each reading continues on a new piece of stack where one is used up, so values may be nested
//! however deep. But some `Deserialize` (`untagged`, `tag`, `flatten`) first take a value as
//! whatever it is, into a buffer, and then decode the buffer without this reader, so that nobody
//! checks the stack. For these the readings by name and as JSON begin with enough stack for the
//! depth of the value, and such a `Deserialize` is refused if the depth exceeds [`DEEPEST`].

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Cause, Result};
use super::known::{self, Known};
use super::output::Output;
use super::serializer::{Encoder, Gathered, MOST_FACTS, Terms};
use super::shape::{Shape, identity};
use super::sink::Sink;
use super::stack::{self, Limit};
use super::{finish, put_to};
use crate::wire::codec::CodecError;

mod bytes;
mod items;
mod reader;
mod reading;
#[cfg(test)]
mod tests;
mod variants;

use reader::Reader;
use reading::{By, Progress, Reading};

const WORD: usize = 8;

/// The greatest depth of nesting of a value that a `Deserialize` may take as whatever it is.
pub(super) const DEEPEST: usize = 1024;

/// The bytes of stack for one level of such a value.
const LEVEL: usize = if cfg!(debug_assertions) { 128 << 10 } else { 32 << 10 };

/// Makes a root of a type and a beginning: the fact that such values need a description.
const NEEDS: u64 = 0x6e65_6564_735f_6974;

/// Appends an encoded value to `output`.
pub(super) fn encode<T: Serialize + ?Sized>(
    value: &T,
    output: &mut Output<'_>,
) -> std::result::Result<(), CodecError> {
    let terms = Terms { gathered: Some(Box::default()), ..Terms::default() };
    let before = output.len();
    let mut encoder = Encoder::<true>::new(Sink::new(output), &terms, Limit::now());
    let encoded = encoder.encode(value);
    let length = encoder.into_sink().length();
    finish(encoded, length, before, output)?;
    let Gathered { facts, beginning, deepest, .. } = *terms.gathered.unwrap_or_default();
    let (_, beginning) = beginning.get();
    let root = Shape::of(identity::<T>()).and(beginning).and(NEEDS).0;
    let is_exact = !terms.is_unsuited.get() && !known::facts().has(root);
    let facts = facts.into_inner();
    let facts = if is_exact && facts.len() <= MOST_FACTS { facts } else { BTreeSet::new() };
    let depth = deepest.get() as u64;
    let end = [root, is_exact.into(), facts.len() as u64, depth];
    let put = |word: &u64| put_to(&word.to_le_bytes(), output);
    facts.iter().chain(&end).try_for_each(put)
}

/// The parts of a described value.
struct Parts<'b> {
    value: &'b [u8],
    facts: &'b [[u8; WORD]],
    root: u64,
    is_exact: bool,
    depth: usize,
}

impl<'b> Parts<'b> {
    fn of(bytes: &'b [u8]) -> Option<Self> {
        let (rest, end) = bytes.split_last_chunk::<{ 4 * WORD }>()?;
        let mut end = end.as_chunks::<WORD>().0.iter().map(|word| u64::from_le_bytes(*word));
        let (root, is_exact) = (end.next()?, end.next()? == 1);
        let (facts, depth) =
            (usize::try_from(end.next()?).ok()?, usize::try_from(end.next()?).ok()?);
        let (value, facts) =
            rest.split_at_checked(rest.len().checked_sub(facts.checked_mul(WORD)?)?)?;
        Some(Self { value, facts: facts.as_chunks().0, root, is_exact, depth })
    }
}

/// Decodes a value. `again` is called before each reading but the first, to undo what the one
/// before has done.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], mut again: impl FnMut()) -> Result<T> {
    let known = known::facts();
    let Parts { value, facts, root, is_exact, depth } = Parts::of(bytes).ok_or(Cause::End)?;
    if is_exact {
        if let Some(read) = read_exactly(value, depth, &mut again) {
            note(known, facts);
            return Ok(read);
        }
        again();
    }
    let is_deep = depth > DEEPEST;
    let stack = if is_deep { 0 } else { depth * LEVEL };
    let read = stack::with(stack, || {
        let by = |by| read(value, by, is_deep, &Progress::new(depth));
        by(By::Name).or_else(|error| {
            again();
            by(By::Json).map_err(|_| error)
        })
    })?;
    known.add(root);
    Ok(read)
}

fn note(known: Known, facts: &[[u8; WORD]]) {
    facts.iter().map(|fact| u64::from_le_bytes(*fact)).filter(|fact| *fact != 0).for_each(|fact| {
        known.add(fact);
    });
}

/// Reads a value exactly.
///
/// The compact form tells variants by their numbers alone, and `Deserialize` may number them in
/// another way than `Serialize`: it does not count variants that it skips, while its list of names
/// has each alias as well. So a value with variants is read once by names and once by numbers, and
/// both readings must choose the same variants.
fn read_exactly<T: DeserializeOwned>(
    bytes: &[u8],
    depth: usize,
    again: &mut impl FnMut(),
) -> Option<T> {
    let by_name = Progress::new(depth);
    let value = read(bytes, By::Order, false, &by_name).ok()?;
    if by_name.variants().is_none() {
        return Some(value);
    }
    drop::<T>(value);
    again();
    let by_number = Progress::new(depth);
    let value = read(bytes, By::Number, false, &by_number).ok()?;
    (by_name.variants() == by_number.variants()).then_some(value)
}

fn read<T: DeserializeOwned>(
    mut bytes: &[u8],
    by: By,
    is_deep: bool,
    progress: &Progress,
) -> Result<T> {
    let value = T::deserialize(Reader::new(&mut bytes, Reading { by, is_deep, progress }))?;
    // A `Deserialize` may have ignored an error.
    if bytes.is_empty() && !progress.has_failed() { Ok(value) } else { Err(Cause::Unlike.into()) }
}
