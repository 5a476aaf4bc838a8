//! Several items on their way as one: what one message carries to a worker.
//!
//! An envelope spares its items the cost of a message each, and nothing else: each item is a task of its own to whoever
//! counts tasks, and has an outcome of its own. In it are the number of its items, where each of them ends, and the
//! encoded arguments one after the other:
//!
//! ```text
//! n │ end of item 0 │ end of item 1 │ ... │ item 0 │ item 1 │ ...        numbers: u32, little-endian
//! ```

use std::ops::Range;

const WORD: usize = 4;

/// An envelope that is being filled.
#[derive(Debug, Default)]
pub struct Envelope {
    ends: Vec<u32>,
    items: Vec<u8>,
}

impl Envelope {
    /// How many items are in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes its items have.
    pub fn bytes(&self) -> usize {
        self.items.len()
    }

    /// Where the next item is to be put: behind all that is there. [`close_item`](Self::close_item) makes it one.
    pub(crate) fn room(&mut self) -> &mut Vec<u8> {
        &mut self.items
    }

    /// What has been put behind the last item is one; says whether it fits.
    #[must_use]
    pub(crate) fn close_item(&mut self) -> bool {
        let end = u32::try_from(self.items.len());
        end.map(|end| self.ends.push(end)).is_ok()
    }

    /// Forgets what has been put behind the last item, and returns it.
    pub(crate) fn take_open(&mut self) -> Vec<u8> {
        self.items.split_off(self.ends.last().map_or(0, |end| *end as usize))
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

    /// An item of a sealed envelope; `None` if the envelope is not one that has it.
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
                envelope.room().extend(item);
                prop_assert!(envelope.close_item());
            }
            envelope.room().extend(b"open");
            prop_assert_eq!(envelope.take_open(), b"open");
            let sealed = envelope.seal();
            for (n, item) in items.iter().enumerate() {
                prop_assert_eq!(Envelope::item(&sealed, n as u32), Some(&item[..]));
            }
            prop_assert_eq!(Envelope::item(&sealed, items.len() as u32), None);
        }

        #[test]
        fn any_bytes_have_an_item_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60), item in any::<u32>()) {
            let _ = Envelope::item(&bytes, item);
            let _ = Envelope::item(&bytes, item % 8);
            let _ = Envelope::item(&[&3_u32.to_le_bytes(), &bytes[..]].concat(), item % 8);
        }
    }
}
