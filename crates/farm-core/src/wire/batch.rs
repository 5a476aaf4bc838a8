//! Batches: several items that one message carries to a worker.
//!
//! A batch saves its items the cost of a message each. In all else each item is a task of its own:
//! it counts as one and has its own outcome. A batch consists of the number of its items, the end
//! of each item, counted from the beginning of the first one, and the encoded arguments one after
//! the other. The numbers are `u32`, little-endian:
//!
//! ```text
//! n │ end of item 0 │ end of item 1 │ ... │ item 0 │ item 1 │ ...
//! ```
//!
//! The results of some of the items come back one after the other, each behind its length, a `u32`.
//! Before them are the nanoseconds that they took together, a `u64`:
//!
//! ```text
//! nanoseconds │ length │ result │ length │ result │ ...
//! ```

use std::ops::Range;
use std::time::Duration;

use crate::wire::codec::{CodecError, Output, Source};

const WORD: usize = 4;
const TIME: usize = 8;

/// A batch that is being filled.
#[derive(Default)]
pub struct Batch {
    ends: Vec<u32>,
    items: Output<'static>,
}

impl Batch {
    /// The number of closed items.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no closed items.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The length of all closed items together, in bytes.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.ends.last().map_or(0, |end| *end as usize)
    }

    /// The output to which the next item is encoded.
    #[inline]
    pub(crate) fn output(&mut self) -> &mut Output<'static> {
        &mut self.items
    }

    /// Closes the item: the bytes that were put into the output since the last item.
    #[inline]
    pub(crate) fn close_item(&mut self) {
        // A batch is sealed at a few ten thousand bytes (`backend/batcher.rs`), far below what 32
        // bits can count.
        self.ends.push(self.items.heap().len() as u32);
    }

    /// Opens the last item again, so that [`take_open`](Self::take_open) returns its bytes.
    pub(crate) fn open_last(&mut self) {
        self.ends.pop();
    }

    /// Removes and returns the bytes behind the last closed item.
    pub(crate) fn take_open(&mut self) -> Vec<u8> {
        if self.is_empty() {
            return std::mem::take(&mut self.items).into_heap();
        }
        let open = self.items.heap()[self.bytes()..].to_vec();
        self.items.truncate(self.bytes());
        open
    }

    /// Returns the encoded batch. The items are removed, and the memory of the output is used
    /// again.
    pub(crate) fn seal(&mut self) -> Vec<u8> {
        let items = self.items.heap();
        let mut bytes = Vec::with_capacity((1 + self.ends.len()) * WORD + items.len());
        bytes.extend((self.ends.len() as u32).to_le_bytes());
        bytes.extend(self.ends.drain(..).flat_map(u32::to_le_bytes));
        bytes.extend(items);
        self.items.truncate(0);
        bytes
    }

    /// The word before results that took this time together.
    pub const fn time(time: Duration) -> [u8; TIME] {
        // 64 bits of nanoseconds are enough for five hundred years.
        (time.as_nanos() as u64).to_le_bytes()
    }

    /// The word before a result of so many bytes.
    #[inline]
    pub(crate) fn length(result: u32) -> [u8; WORD] {
        result.to_le_bytes()
    }

    /// Writes the length of a result into the word before it. `bytes` begins with the room for that
    /// word; the result follows.
    #[inline]
    pub(crate) fn write_length(bytes: &mut [u8]) -> Result<(), CodecError> {
        let Some((length, result)) = bytes.split_first_chunk_mut::<WORD>() else { return Ok(()) };
        let too_long = |_| {
            let bytes = result.len();
            CodecError::Encode(format!("it is too long for a `map`, with {bytes} bytes"))
        };
        *length = Self::length(u32::try_from(result.len()).map_err(too_long)?);
        Ok(())
    }

    /// The time that results took together; zero if the bytes are too short to tell.
    pub(crate) fn time_of(results: Source<'_>) -> Duration {
        let time = results.array::<TIME>().map_or(0, u64::from_le_bytes);
        Duration::from_nanos(time)
    }

    /// The position of the first result, which begins with its length.
    pub(crate) const FIRST_RESULT: usize = TIME;

    /// The result that begins with its length at `at`, and the position of the next one; `None` if
    /// no whole result is there.
    #[inline]
    pub(crate) fn result(results: &[u8], at: usize) -> Option<(&[u8], usize)> {
        let (length, rest) = results.get(at..)?.split_first_chunk::<WORD>()?;
        let length = u32::from_le_bytes(*length) as usize;
        Some((rest.get(..length)?, at + WORD + length))
    }

    /// As [`result`](Self::result), in memory of any kind.
    pub(crate) fn result_of(results: Source<'_>, at: usize) -> Option<(Source<'_>, usize)> {
        let rest = results.part(at..results.len())?;
        let length = u32::from_le_bytes(rest.array::<WORD>()?) as usize;
        Some((rest.part(WORD..WORD + length)?, at + WORD + length))
    }

    /// An item of a sealed batch; `None` if `batch` is not a batch that has this item.
    #[inline]
    pub fn item(batch: &[u8], item: u32) -> Option<&[u8]> {
        let (count, rest) = batch.split_first_chunk::<WORD>()?;
        let count = u32::from_le_bytes(*count);
        let (ends, items) = rest.split_at_checked((count as usize).checked_mul(WORD)?)?;
        let end = |item: u32| {
            let bytes = ends.as_chunks::<WORD>().0.get(item as usize)?;
            Some(u32::from_le_bytes(*bytes) as usize)
        };
        let start = if item == 0 { 0 } else { end(item - 1)? };
        let range: Range<usize> = start..end(item)?;
        items.get(range)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_in_is_taken_out(items in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20)) {
            let mut batch = Batch::default();
            for item in &items {
                batch.output().put(item);
                batch.close_item();
            }
            batch.output().put(b"no item");
            prop_assert_eq!(batch.take_open(), b"no item");
            let sealed = batch.seal();
            prop_assert!(batch.is_empty() && batch.bytes() == 0);
            for (n, item) in items.iter().enumerate() {
                prop_assert_eq!(Batch::item(&sealed, n as u32), Some(&item[..]));
            }
            prop_assert_eq!(Batch::item(&sealed, items.len() as u32), None);
        }

        #[test]
        fn results_are_found_one_after_the_other(results in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20)) {
            let mut bytes = Batch::time(Duration::from_nanos(17)).to_vec();
            for result in &results {
                let at = bytes.len();
                bytes.extend(Batch::length(0));
                bytes.extend(result);
                prop_assert!(Batch::write_length(&mut bytes[at..]).is_ok());
            }
            prop_assert_eq!(Batch::time_of(Source::Own(&bytes)), Duration::from_nanos(17));
            let mut at = Batch::FIRST_RESULT;
            for result in &results {
                let (found, next) = Batch::result(&bytes, at).expect("it is there");
                prop_assert_eq!(found, &result[..]);
                at = next;
            }
            prop_assert_eq!(Batch::result(&bytes, at), None);
        }

        #[test]
        fn any_bytes_have_an_item_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), item in any::<u32>()) {
            let _ = Batch::item(&bytes, item);
            let _ = Batch::item(&bytes, item % 8);
            let _ = Batch::result(&bytes, item as usize % 70);
            let _ = Batch::time_of(Source::Own(&bytes));
            let _ = Batch::result_of(Source::Own(&bytes), item as usize % 70);
            let _ = Batch::item(&[&3_u32.to_le_bytes(), &bytes[..]].concat(), item % 8);
        }
    }
}
