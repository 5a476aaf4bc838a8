//! Bytes that are being decoded.
//!
//! A result may lie in memory that its worker can still write to by mistake. What is decoded must
//! not change between the moment when it is checked and the moment when it is used. So it is first
//! copied to memory of this process: blocks of numbers directly to their destination, all else
//! through a small window.
//!
//! The bytes *at hand* are those that can be read directly: a slice of this process, or what is
//! left in the window.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice};

use bytemuck::Pod;

use super::error::{Cause, Result};

/// Bytes that another process may change at any moment.
///
/// # Safety
///
/// [`copy`](Self::copy) initialises every byte of the slice that it is given.
pub unsafe trait SharedBytes: Send + Sync {
    /// The number of bytes, which does not change.
    fn len(&self) -> usize;

    /// Whether there are no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes from position `at` on into `to`. The caller makes sure that there are as
    /// many as `to` has room for.
    fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]);
}

/// The length of the window in bytes.
const WINDOW: usize = 8 << 10;

/// The shared bytes that are not at hand yet, and the window through which they go.
pub(super) struct Behind<'a> {
    bytes: &'a dyn SharedBytes,
    /// The position of the first byte that has not been copied, and the end.
    next: usize,
    end: usize,
    window: Box<[u8]>,
}

impl<'a> Behind<'a> {
    pub(super) fn new(bytes: &'a dyn SharedBytes, range: std::ops::Range<usize>) -> Self {
        let end = range.end.min(bytes.len());
        Self { bytes, next: range.start.min(end), end, window: vec![0; WINDOW].into() }
    }

    fn left(&self) -> usize {
        self.end - self.next
    }

    /// Copies the next bytes, as many as `to` has room for.
    ///
    /// # Panics
    ///
    /// If fewer bytes are left.
    fn copy(&mut self, to: &mut [MaybeUninit<u8>]) {
        assert!(to.len() <= self.left(), "no more is copied than there is");
        self.bytes.copy(self.next, to);
        self.next += to.len();
    }
}

/// The bytes that are left to be decoded.
///
/// As with a [sink](super::sink), more bytes are fetched out of line, by a function that takes the
/// input by value and returns it. So a loop can keep the position in registers.
pub(super) struct Input<'a> {
    /// The bytes at hand begin here. They are readable, and do not change as long as `behind` is
    /// not asked for more.
    start: *const u8,
    left: usize,
    behind: Option<&'a mut Behind<'a>>,
    marker: PhantomData<&'a [u8]>,
}

impl Default for Input<'_> {
    #[inline]
    fn default() -> Self {
        Self::new(&[])
    }
}

impl<'a> Input<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { start: bytes.as_ptr(), left: bytes.len(), behind: None, marker: PhantomData }
    }

    pub(super) fn of(behind: &'a mut Behind<'a>) -> Self {
        Self { behind: Some(behind), ..Self::default() }
    }

    /// How many bytes are left.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.left + self.behind.as_ref().map_or(0, |behind| behind.left())
    }

    /// The bytes at hand.
    #[inline]
    fn at_hand(&self) -> &[u8] {
        // SAFETY: the bytes are those of a slice that lives as long as `'a`, or of the window,
        // which changes only where `self` changes.
        unsafe { slice::from_raw_parts(self.start, self.left) }
    }

    /// Goes on behind the first `bytes` bytes, which are at hand.
    #[inline]
    fn skip(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.left);
        self.start = self.start.wrapping_add(bytes);
        self.left -= bytes;
    }

    /// Makes sure that `bytes` bytes are at hand. They must fit into the window.
    #[inline]
    fn want(&mut self, bytes: usize) -> Result<()> {
        if self.left < bytes {
            *self = with_at_hand(bytes, std::mem::take(self));
            if self.left < bytes {
                return Err(Cause::End.into());
            }
        }
        Ok(())
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.want(N)?;
        // SAFETY: `N` bytes are at hand, and any bytes are a valid array.
        let array = unsafe { self.start.cast::<[u8; N]>().read() };
        self.skip(N);
        Ok(array)
    }

    /// Reads a number of at most `bits` bits, encoded with seven bits to a byte.
    #[inline]
    pub(super) fn varint(&mut self, bits: u32) -> Result<u64> {
        if let Some((number, length)) = whole_varint(self.at_hand(), bits) {
            self.skip(length);
            return Ok(number);
        }
        let number;
        (*self, number) = slow_varint(std::mem::take(self), bits);
        number
    }

    /// Reads a number of at most 128 bits, encoded with seven bits to a byte.
    pub(super) fn long_varint(&mut self) -> Result<u128> {
        let mut number = 0;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if shift == 126 && byte > 3 {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Cause::Long.into())
    }

    /// Reads how many items or bytes follow.
    #[inline]
    pub(super) fn length(&mut self) -> Result<usize> {
        Ok(self.varint(u64::BITS)? as usize)
    }

    /// Calls `body` with the next `bytes` bytes if they are at hand. Otherwise returns a copy of
    /// them as the inner error.
    #[inline]
    pub(super) fn bytes<T>(
        &mut self,
        bytes: usize,
        body: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<std::result::Result<T, Vec<u8>>> {
        if bytes > self.left {
            return self.items(bytes).map(Err);
        }
        let value = body(&self.at_hand()[..bytes]);
        self.skip(bytes);
        value.map(Ok)
    }

    /// Reads `items` numbers that lie one behind the other. Any bytes are valid numbers, and they
    /// need not be aligned.
    pub(super) fn items<N: Pod>(&mut self, items: usize) -> Result<Vec<N>> {
        let bytes = items.checked_mul(size_of::<N>()).filter(|bytes| *bytes <= self.len());
        let Some(bytes) = bytes else { return Err(Cause::End.into()) };
        let mut all = Vec::<N>::with_capacity(items);
        let room = all.spare_capacity_mut().as_mut_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: the vector has capacity for `items` items, which are `bytes` bytes.
        let room = unsafe { slice::from_raw_parts_mut(room, bytes) };
        let (here, there) = room.split_at_mut(bytes.min(self.left));
        // SAFETY: `here` is no longer than the bytes at hand, and it is new memory, so they do not
        // overlap.
        unsafe { ptr::copy_nonoverlapping(self.start, here.as_mut_ptr().cast(), here.len()) };
        self.skip(here.len());
        if let Some(behind) = self.behind.as_mut().filter(|_| !there.is_empty()) {
            behind.copy(there);
        }
        // SAFETY: all items are initialised. The bytes that were not at hand were behind, since the
        // length was checked against the sum of both.
        unsafe { all.set_len(items) };
        Ok(all)
    }
}

/// The number with which `bytes` begin, and its length in bytes. `None` if the bytes end before the
/// number does, or if the number has more than `bits` bits.
#[inline]
fn whole_varint(bytes: &[u8], bits: u32) -> Option<(u64, usize)> {
    let longest = (bits - 1) / 7;
    let mut number = 0;
    for (nth, byte) in (0..=longest).zip(bytes) {
        // The last byte of the longest number may only have the bits that are still missing.
        if nth == longest && byte >> (bits - 7 * nth) != 0 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << (7 * nth);
        if *byte < 0x80 {
            return Some((number, nth as usize + 1));
        }
    }
    None
}

/// Reads the next number if [`whole_varint`] finds none in the bytes at hand.
#[cold]
#[inline(never)]
fn slow_varint(mut input: Input<'_>, bits: u32) -> (Input<'_>, Result<u64>) {
    let longest = bits.div_ceil(7) as usize;
    let mut bytes = Vec::with_capacity(longest);
    let number = loop {
        match input.byte() {
            Ok(byte) => bytes.push(byte),
            Err(error) => break Err(error),
        }
        if let Some((number, _)) = whole_varint(&bytes, bits) {
            break Ok(number);
        }
        if bytes.len() == longest {
            break Err(Cause::Long.into());
        }
    };
    (input, number)
}

/// Returns the input with at least `bytes` bytes at hand. If fewer are left, it returns the input
/// with the bytes that were at hand, and drops what is behind them.
#[cold]
#[inline(never)]
fn with_at_hand(bytes: usize, mut input: Input<'_>) -> Input<'_> {
    let Some(behind) = input.behind.take() else { return input };
    let former = input.left;
    let more = behind.left().min(WINDOW.saturating_sub(former));
    if former + more < bytes {
        return input;
    }
    // The bytes at hand lie in the window, unless there are none.
    if former > 0 {
        let from = input.start.addr() - behind.window.as_ptr().addr();
        behind.window.copy_within(from..from + former, 0);
    }
    let room: *mut [u8] = &raw mut behind.window[former..former + more];
    // SAFETY: initialised bytes may be written to as bytes that need not be initialised, as long as
    // only initialised bytes are written, which `SharedBytes` promises of `copy`.
    behind.copy(unsafe { &mut *(room as *mut [MaybeUninit<u8>]) });
    Input {
        start: behind.window.as_ptr(),
        left: former + more,
        behind: Some(behind),
        marker: PhantomData,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in super::super) struct Lying(pub(in super::super) Vec<u8>);

    // SAFETY: `copy` writes all bytes of `to`.
    unsafe impl SharedBytes for Lying {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
            to.write_copy_of_slice(&self.0[at..at + to.len()]);
        }
    }

    proptest! {
        #[test]
        fn shared_bytes_are_read_as_any_others(
            bytes in prop::collection::vec(any::<u8>(), 0..50_000),
            steps in prop::collection::vec((0..5, 0_usize..20_000), 0..60),
        ) {
            let shared = Lying(bytes.clone());
            let mut behind = Behind::new(&shared, 0..bytes.len());
            let (mut far, mut near) = (Input::of(&mut behind), Input::new(&bytes));
            for (step, n) in steps {
                prop_assert_eq!(far.len(), near.len());
                let [far, near] = [&mut far, &mut near].map(|input| match step {
                    0 => format!("{:?}", input.array::<7>()),
                    1 => format!("{:?}", input.varint(64)),
                    2 => format!("{:?}", input.items::<u32>(n / 4)),
                    3 => {
                        let copied = input.bytes(n, |bytes| Ok(bytes.to_vec()));
                        format!("{:?}", copied.map(|bytes| bytes.unwrap_or_else(|bytes| bytes)))
                    }
                    _ => format!("{:?} {:?}", input.byte(), input.long_varint()),
                });
                prop_assert_eq!(&far, &near);
                if far.contains("Err") {
                    break;
                }
            }
        }
    }
}
