//! Several items on their way as one: what one message carries to a worker.
//!
//! An envelope spares its items the cost of a message each, and nothing else: each item is a task of its own to whoever
//! counts tasks, and has an outcome of its own. In it are the number of its items, where each of them ends, and the
//! encoded arguments one after the other:
//!
//! ```text
//! n │ end of item 0 │ end of item 1 │ ... │ item 0 │ item 1 │ ...        numbers: u32, little-endian
//! ```

//!
//! The results of some of its items come back in the same way, one after the other, each behind its length:
//!
//! ```text
//! nanoseconds │ length │ result │ length │ result │ ...        nanoseconds that they took together: u64
//! ```

use std::ops::Range;
use std::time::Duration;

const WORD: usize = 4;
const TIME: usize = 8;

/// An envelope that is being filled.
#[derive(Debug, Default)]
pub struct Envelope {
    ends: Vec<u32>,
    items: Vec<u8>,
}

impl Envelope {
    /// How many items are in it.
    #[inline]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes its items have.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.items.len()
    }

    /// Puts an item in; says whether it fits.
    #[must_use]
    #[inline]
    pub fn put(&mut self, item: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.items.len() + item.len()) else { return false };
        self.items.extend_from_slice(item);
        self.ends.push(end);
        true
    }

    /// The bytes of the envelope.
    pub fn seal(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((1 + self.ends.len()) * WORD + self.items.len());
        bytes.extend((self.ends.len() as u32).to_le_bytes());
        bytes.extend(self.ends.iter().flat_map(|end| end.to_le_bytes()));
        bytes.extend(&self.items);
        bytes
    }

    /// Empties it, to be used again.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.items.clear();
    }

    /// What stands before results that took so long.
    pub fn time(time: Duration) -> [u8; TIME] {
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).to_le_bytes()
    }

    /// What stands before a result of so many bytes.
    ///
    /// # Panics
    ///
    /// If it is too long to be in an envelope.
    #[inline]
    pub fn length(result: usize) -> [u8; WORD] {
        u32::try_from(result).expect("a longer one is not put in").to_le_bytes()
    }

    /// How long results took together; zero if that is not known.
    pub(crate) fn time_of(results: &[u8]) -> Duration {
        let time = results.first_chunk::<TIME>().map_or(0, |time| u64::from_le_bytes(*time));
        Duration::from_nanos(time)
    }

    /// Where the first of the results is.
    pub(crate) const FIRST_RESULT: usize = TIME;

    /// The result at that place, and where the next is.
    #[inline]
    pub(crate) fn result(results: &[u8], at: usize) -> Option<(&[u8], usize)> {
        let (length, rest) = results.get(at..)?.split_first_chunk::<WORD>()?;
        let length = u32::from_le_bytes(*length) as usize;
        Some((rest.get(..length)?, at + WORD + length))
    }

    /// An item of a sealed envelope; `None` if the envelope is not one that has it.
    #[inline]
    pub fn item(envelope: &[u8], item: u32) -> Option<&[u8]> {
        let (count, rest) = envelope.split_first_chunk::<WORD>()?;
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
            let mut envelope = Envelope::default();
            for item in &items {
                prop_assert!(envelope.put(item));
            }
            let sealed = envelope.seal();
            for (n, item) in items.iter().enumerate() {
                prop_assert_eq!(Envelope::item(&sealed, n as u32), Some(&item[..]));
            }
            prop_assert_eq!(Envelope::item(&sealed, items.len() as u32), None);
        }

        #[test]
        fn results_are_found_one_after_the_other(results in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20)) {
            let mut bytes = Envelope::time(Duration::from_nanos(17)).to_vec();
            for result in &results {
                bytes.extend(Envelope::length(result.len()));
                bytes.extend(result);
            }
            prop_assert_eq!(Envelope::time_of(&bytes), Duration::from_nanos(17));
            let mut at = Envelope::FIRST_RESULT;
            for result in &results {
                let (found, next) = Envelope::result(&bytes, at).expect("it is there");
                prop_assert_eq!(found, &result[..]);
                at = next;
            }
            prop_assert_eq!(Envelope::result(&bytes, at), None);
        }

        #[test]
        fn any_bytes_have_an_item_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), item in any::<u32>()) {
            let _ = Envelope::item(&bytes, item);
            let _ = Envelope::item(&bytes, item % 8);
            let _ = Envelope::result(&bytes, item as usize % 70);
            let _ = Envelope::time_of(&bytes);
            let _ = Envelope::item(&[&3_u32.to_le_bytes(), &bytes[..]].concat(), item % 8);
        }
    }
}
