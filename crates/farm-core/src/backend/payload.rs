//! The bytes of an encoded argument or result.

use std::fmt;
use std::sync::Arc;

use crate::wire::codec::{Form, SharedBytes, Source};

/// Encoded bytes, on the heap or wherever a transport has put them.
///
/// A transport that receives a large value in a mapped block hands the block on, and the value is decoded
/// straight from it.
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
    /// Bytes that a transport holds where workers can read them. Nobody writes to them any more.
    Placed(Arc<dyn Placed>),
    /// Bytes that a transport holds, and that a worker which runs wild can still write to.
    Shared(Arc<dyn SharedBytes>),
    /// A result in the form that describes itself.
    Described(Arc<Payload>),
}

/// Bytes in memory that a transport shares with its workers.
pub trait Placed: Send + Sync {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// Where they begin in that memory, as the transport's messages say it.
    fn offset(&self) -> u64;
}

impl Payload {
    /// How many bytes are a few.
    pub(crate) const SMALL: usize = 22;

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.source().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if nobody else can write to them.
    #[inline]
    pub fn as_slice(&self) -> Option<&[u8]> {
        match self.source() {
            Source::Own(bytes) => Some(bytes),
            Source::Shared(..) => None,
        }
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        self.source().to_vec()
    }

    /// The same bytes, as those of a result in that form.
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

    /// Where the bytes are to be read.
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
