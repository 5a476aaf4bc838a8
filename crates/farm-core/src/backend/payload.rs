//! The bytes of an encoded argument or result.

use std::fmt;
use std::sync::Arc;

use crate::wire::codec::{Form, SharedBytes, Source};

/// Encoded bytes, on the heap or in memory of a transport.
///
/// A transport that receives a large value in mapped memory hands that memory on, and the value is
/// decoded from there.
#[derive(Clone)]
pub enum Payload {
    /// A few bytes, stored inline.
    Small {
        /// The bytes, followed by zeros.
        bytes: [u8; 22],
        /// The number of bytes.
        length: u8,
    },
    /// Bytes on the heap.
    Owned(Arc<Vec<u8>>),
    /// Bytes in memory of a transport, from which workers can read them. No process writes to them
    /// any more.
    Placed(Arc<dyn Placed>),
    /// Bytes in memory of a transport, to which a faulty worker can still write.
    Shared(Arc<dyn SharedBytes>),
    /// The bytes of a result in the described form.
    Described(Arc<Payload>),
}

/// Bytes in memory that a transport shares with its workers.
pub trait Placed: Send + Sync {
    /// Returns the bytes.
    fn bytes(&self) -> &[u8];

    /// Returns the position of the first byte in that memory, as messages of the transport name it.
    fn offset(&self) -> u64;
}

impl Payload {
    /// The largest number of bytes that is stored inline.
    pub(crate) const SMALL: usize = 22;

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.source().len()
    }

    /// Returns whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes, unless another process can write to them.
    #[inline]
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self.source() {
            Source::Own(bytes) => Some(bytes),
            Source::Shared(..) => None,
        }
    }

    /// Returns a copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.source().to_vec()
    }

    /// Returns these bytes as those of a result in the given form.
    pub fn in_form(self, form: Form) -> Self {
        match form {
            Form::Compact => self,
            Form::Described => Self::Described(Arc::new(self)),
        }
    }

    #[inline]
    pub(crate) fn form(&self) -> Form {
        if matches!(self, Self::Described(_)) { Form::Described } else { Form::Compact }
    }

    /// The bytes, to be decoded.
    #[inline]
    pub(crate) fn source(&self) -> Source<'_> {
        match self {
            Self::Small { bytes, length } => {
                Source::Own(bytes.get(..usize::from(*length)).unwrap_or_default())
            }
            Self::Owned(bytes) => Source::Own(bytes),
            Self::Placed(block) => Source::Own(block.bytes()),
            Self::Shared(block) => Source::Shared(&**block, 0, block.len()),
            Self::Described(payload) => payload.source(),
        }
    }
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
        write!(f, "Payload({} bytes)", self.len())
    }
}
