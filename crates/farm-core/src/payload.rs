//! The bytes of an encoded argument or result.

use std::fmt;
use std::sync::Arc;

/// Encoded bytes, on the heap or wherever a transport has put them.
///
/// A transport that receives a large value in a mapped block hands the block on as
/// [`Payload::Mapped`], and the value is decoded straight from it.
#[derive(Clone)]
pub enum Payload {
    /// A few bytes.
    Small {
        /// They, and zeros behind them.
        bytes: [u8; 22],
        /// How many they are.
        length: u8,
    },
    /// Bytes on the heap.
    Owned(Arc<Vec<u8>>),
    /// Bytes that a transport holds. Nobody writes to them any more.
    Mapped(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl AsRef<[u8]> for Payload {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Small { bytes, length } => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Owned(bytes) => bytes,
            Self::Mapped(block) => (**block).as_ref(),
        }
    }
}

impl Payload {
    /// How many bytes are a few.
    pub(crate) const SMALL: usize = 22;
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        let mut small = [0; Self::SMALL];
        match small.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                Self::Small { bytes: small, length: bytes.len() as u8 }
            }
            None => Self::Owned(Arc::new(bytes.to_vec())),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= Self::SMALL { bytes[..].into() } else { Self::Owned(Arc::new(bytes)) }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_ref().len())
    }
}
