//! Arrays of plain numbers, encoded as their bytes lie in memory.
//!
//! serde offers a sequence to its format element by element. An array of numbers does not need
//! that: master and workers run the same executable and have one byte order, so the bytes of the
//! array are copied as one block, at the speed of `memcpy`. Mark a field with `#[serde(with =
//! "farm_core::plain")]`, or wrap an argument or a result in [`Plain`].

use std::fmt;
use std::marker::PhantomData;

use bytemuck::Pod;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A vector of plain numbers that travels as one block of bytes.
///
/// # Examples
///
/// ```
/// use farm_core::{Plain, codec};
///
/// let heights = Plain(vec![0.5_f64, 1.5]);
/// let bytes = codec::encode(&heights)?;
/// assert_eq!(codec::decode::<Plain<f64>>(&bytes)?, heights);
/// # Ok::<(), codec::CodecError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(bound = "T: Pod")]
pub struct Plain<T>(#[serde(with = "crate::wire::plain")] pub Vec<T>);

impl<T> From<Vec<T>> for Plain<T> {
    fn from(items: Vec<T>) -> Self {
        Self(items)
    }
}

impl<T> std::ops::Deref for Plain<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

/// Encodes the items as one block of bytes.
///
/// # Errors
///
/// The error of the serializer, if it reports one.
pub fn serialize<T: Pod, S: Serializer>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytemuck::cast_slice(items))
}

/// Decodes items from one block of bytes. The block need not be aligned.
///
/// # Errors
///
/// If the block is not a whole number of items.
pub fn deserialize<'de, T: Pod, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_bytes(Block(PhantomData))
}

/// The visitor that [`deserialize`] uses. The codec recognises it by its type.
pub(crate) struct Block<T>(PhantomData<T>);

impl<'de, T: Pod> Visitor<'de> for Block<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a block of items of {} bytes", size_of::<T>())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<T>, E> {
        let size = size_of::<T>();
        if size == 0 || !bytes.len().is_multiple_of(size) {
            return Err(E::custom(format_args!(
                "{} bytes are not a whole number of items of {size} bytes",
                bytes.len()
            )));
        }
        Ok(crate::wire::codec::collect(bytes))
    }

    // A format without blocks of bytes, such as JSON, hands the bytes over one by one.
    fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Vec<T>, A::Error> {
        let mut block = Vec::new();
        while let Some(byte) = bytes.next_element::<u8>()? {
            block.push(byte);
        }
        self.visit_bytes(&block)
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;
    use crate::wire::codec::{decode, encode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_arrays_keep_every_bit(bits in prop::collection::vec(any::<u64>(), 0..300), odd in "[a-z]{0,7}") {
            let items: Vec<f64> = bits.iter().copied().map(f64::from_bits).collect();
            // The text before the block gives it any alignment.
            let bytes = encode(&(odd, Plain(items))).unwrap();
            let (_, back) = decode::<(String, Plain<f64>)>(&bytes).unwrap();
            prop_assert_eq!(back.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), bits);
        }
    }

    #[test]
    fn a_torn_block_is_refused() {
        let bytes = encode(&Plain(vec![1_u8; 7])).unwrap();
        let error = decode::<Plain<f64>>(&bytes).unwrap_err();
        assert_eq!(error.to_string(), "7 bytes are not a whole number of items of 8 bytes");
    }
}
