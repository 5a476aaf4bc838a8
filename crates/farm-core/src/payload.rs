//! The bytes of an encoded argument or result.

use std::fmt;
use std::sync::Arc;

/// Encoded bytes, on the heap or wherever a transport has put them.
///
/// A transport that receives a large value in a mapped block hands the block on as
/// [`Payload::Mapped`], and the value is decoded straight from it.
#[derive(Clone)]
pub enum Payload {
    /// Bytes on the heap.
    Owned(Vec<u8>),
    /// Bytes that a transport holds. Nobody writes to them any more.
    Mapped(Arc<dyn AsRef<[u8]> + Send + Sync>),
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Mapped(block) => (**block).as_ref(),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Owned(bytes)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.as_ref().len())
    }
}
