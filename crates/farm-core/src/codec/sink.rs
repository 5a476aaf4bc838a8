//! Where encoded bytes go.

use postcard::ser_flavors::Flavor;
use postcard::{Error, Result};

/// A vector that grows.
///
/// It grows out of line and by value. Were a reference to it handed to a function that is not inlined, then its
/// length would have to be kept in memory, and in a loop each item would wait for the one before it. For the same
/// reason [`Vec::extend_from_slice`] is out of the way.
#[derive(Default)]
pub(super) struct Growing(pub(super) Vec<u8>);

#[cold]
#[inline(never)]
fn with_room_for(more: usize, mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.reserve(more);
    bytes
}

impl Flavor for Growing {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, more: &[u8]) -> Result<()> {
        let length = self.0.len();
        if self.0.capacity() - length < more.len() {
            self.0 = with_room_for(more.len(), std::mem::take(&mut self.0));
        }
        // SAFETY: the vector has room for so many bytes behind its length, which it had before or `reserve` has made.
        // They are nobody else's as long as it is borrowed here, and are written before they count.
        unsafe {
            let end = self.0.as_mut_ptr().add(length);
            std::ptr::copy_nonoverlapping(more.as_ptr(), end, more.len());
            self.0.set_len(length + more.len());
        }
        Ok(())
    }

    #[inline]
    fn finalize(self) -> Result<()> {
        Ok(())
    }
}

/// Room that cannot grow.
#[derive(Default)]
pub(super) struct Fixed<'a> {
    pub(super) room: &'a mut [u8],
    /// Something did not fit. A `Serialize` may go on in spite of the error.
    pub(super) is_full: bool,
}

impl Flavor for Fixed<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> Result<()> {
        self.try_extend(&[byte])
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(place) = self.room.split_off_mut(..bytes.len()) else {
            self.is_full = true;
            return Err(Error::SerializeBufferFull);
        };
        place.copy_from_slice(bytes);
        Ok(())
    }

    #[inline]
    fn finalize(self) -> Result<()> {
        Ok(())
    }
}
