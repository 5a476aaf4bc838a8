//! The bytes beside a message. They are in the packet of the message, or in a block of shared
//! memory whose descriptor the packet carries.

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use farm_core::backend::{Payload, contained};
use farm_core::codec::SharedBytes;
use farm_os::limits::{check_file, keep_standard_descriptors};
use ipc_channel::ipc::IpcSharedMemory;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::transport::ipc::{Contained, why_refused};

/// The most bytes of a body that goes through the socket.
const MOST_INLINE: usize = 16 * 1024;

/// The body of a message.
#[derive(Serialize, Deserialize)]
pub(crate) enum Body {
    Inline(#[serde(with = "farm_core::plain")] Vec<u8>),
    Block(#[serde(deserialize_with = "block_if_it_came")] Option<IpcSharedMemory>),
}

impl Body {
    /// Makes a body of these bytes.
    ///
    /// # Errors
    ///
    /// If there is no memory, or no file descriptor, for a large body.
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() <= MOST_INLINE {
            return Ok(Self::Inline(bytes.to_vec()));
        }
        check_file(bytes.len()).map_err(|error| error.to_string())?;
        keep_standard_descriptors();
        // ipc-channel panics if the system refuses it a block.
        contained(|| Self::Block(Some(IpcSharedMemory::from_bytes(bytes)))).map_err(|said| {
            format!("there is no block of {} bytes for it: {}", bytes.len(), why_refused(&said))
        })
    }

    /// The bytes, as they have arrived.
    ///
    /// # Errors
    ///
    /// If the block has not arrived with its message.
    pub(crate) fn open(self) -> Result<Payload, String> {
        match self {
            Self::Inline(bytes) => Ok(bytes.into()),
            Self::Block(Some(block)) => Ok(ReceivedBlock::keep(block)),
            Self::Block(None) => Err("its block was lost on the way: no file descriptor is left \
                                      (`ulimit -n` raises the limit)"
                .to_owned()),
        }
    }
}

/// Decodes a block that may be missing: at the limit of file descriptors, a message arrives without
/// its block. The head must not be lost with it, since it says whose message this is.
fn block_if_it_came<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<IpcSharedMemory>, D::Error> {
    // An option is encoded as a tag and its content; here, the tag is always that of `Some`.
    struct Tagged;
    impl<'de> Visitor<'de> for Tagged {
        type Value = Option<IpcSharedMemory>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a block")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, content: D) -> Result<Self::Value, D::Error> {
            Ok(IpcSharedMemory::deserialize(content).ok())
        }
    }
    deserializer.deserialize_option(Tagged)
}

/// A block that has arrived. It holds a descriptor, of which a program has few, so no more than
/// [`MOST_BLOCKS`] blocks are kept; the bytes of any others are copied.
struct ReceivedBlock(Contained<IpcSharedMemory>);

const MOST_BLOCKS: usize = 16;

/// How many blocks this process keeps. It orders nothing, hence `Relaxed`.
static BLOCKS: AtomicUsize = AtomicUsize::new(0);

impl ReceivedBlock {
    fn keep(block: IpcSharedMemory) -> Payload {
        if BLOCKS.fetch_add(1, Ordering::Relaxed) < MOST_BLOCKS {
            return Payload::Shared(Arc::new(Self(Contained::new(block))));
        }
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
        block.to_vec().into()
    }
}

impl Drop for ReceivedBlock {
    fn drop(&mut self) {
        BLOCKS.fetch_sub(1, Ordering::Relaxed);
    }
}

// SAFETY: `copy` initialises all of `to`, and `len` is the length of the block.
unsafe impl SharedBytes for ReceivedBlock {
    fn len(&self) -> usize {
        self.0.get().len()
    }

    fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
        let end = at.checked_add(to.len());
        assert!(end.is_some_and(|end| end <= self.len()), "it is within the block");
        // SAFETY: these bytes are mapped as long as `self` lives, and any values are valid. The
        // sender may write to them at the same time, so no reference to them is made.
        unsafe {
            let from = self.0.get().as_ptr().add(at).cast::<MaybeUninit<u8>>();
            to.as_mut_ptr().copy_from_nonoverlapping(from, to.len());
        }
    }
}
