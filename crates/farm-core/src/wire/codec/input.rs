//! Bytes that are being decoded, as the deserializer has them at hand.
//!
//! A result may lie in memory that its worker can still write to, by mistake. What is decoded must not
//! change between being checked and being used, so it is first copied to memory of this process: numbers
//! that lie together straight to where they belong, all else through a small window.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::{ptr, slice};

use bytemuck::Pod;

use super::error::{Cause, Result};

/// Bytes that another process may change at any moment.
///
/// # Safety
///
/// [`copy`](Self::copy) initialises all that it is given.
pub unsafe trait SharedBytes: Send + Sync {
    /// How many bytes there are. That does not change.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies the bytes from `at` on. There are as many as are wanted.
    fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]);
}

/// How many bytes go through the window at once.
const WINDOW: usize = 8 << 10;

/// What is behind the bytes at hand.
pub(super) struct Behind<'a> {
    bytes: &'a dyn SharedBytes,
    /// The first that has not been copied, and the end.
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

    /// Copies as many bytes as there is room for.
    ///
    /// # Safety
    ///
    /// So many are left.
    fn copy(&mut self, to: &mut [MaybeUninit<u8>]) {
        assert!(to.len() <= self.left(), "no more is copied than there is");
        self.bytes.copy(self.next, to);
        self.next += to.len();
    }
}

/// What is left to be decoded.
///
/// As with a [sink](super::sink), more is fetched out of line and by value, so that a loop can keep the place in
/// registers.
pub(super) struct Input<'a> {
    /// The bytes at hand: readable, and changed by nobody as long as `behind` is not asked for more.
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
        // SAFETY: they are those of a slice that lives as long as `'a`, or of the window, which is
        // changed only where `self` is.
        unsafe { slice::from_raw_parts(self.start, self.left) }
    }

    /// Goes on behind so many bytes, which are at hand.
    #[inline]
    fn skip(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.left);
        self.start = self.start.wrapping_add(bytes);
        self.left -= bytes;
    }

    /// Has so many bytes at hand; they fit into the window.
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
        // SAFETY: so many bytes are at hand, and any are an array of bytes.
        let array = unsafe { self.start.cast::<[u8; N]>().read() };
        self.skip(N);
        Ok(array)
    }

    /// A number of at most `bits` bits, seven to a byte.
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

    /// A number of at most 128 bits, seven to a byte.
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

    /// How many items or bytes follow.
    #[inline]
    pub(super) fn length(&mut self) -> Result<usize> {
        Ok(self.varint(u64::BITS)? as usize)
    }

    /// Batcher `body` with the next so many bytes, if they are at hand, and else gives them.
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

    /// So many numbers that lie together; any bytes are some, and they need not be aligned.
    pub(super) fn items<N: Pod>(&mut self, items: usize) -> Result<Vec<N>> {
        let bytes = items.checked_mul(size_of::<N>()).filter(|bytes| *bytes <= self.len());
        let Some(bytes) = bytes else { return Err(Cause::End.into()) };
        let mut all = Vec::<N>::with_capacity(items);
        let room = all.spare_capacity_mut().as_mut_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: there is room for so many items.
        let room = unsafe { slice::from_raw_parts_mut(room, bytes) };
        let (here, there) = room.split_at_mut(bytes.min(self.left));
        // SAFETY: so many bytes are at hand, and the room is new.
        unsafe { ptr::copy_nonoverlapping(self.start, here.as_mut_ptr().cast(), here.len()) };
        self.skip(here.len());
        if let Some(behind) = self.behind.as_mut().filter(|_| !there.is_empty()) {
            behind.copy(there);
        }
        // SAFETY: all is initialised: what was not at hand was behind, since there is so much.
        unsafe { all.set_len(items) };
        Ok(all)
    }
}

/// The number with which the bytes begin, and in how many of them it lies.
#[inline]
fn whole_varint(bytes: &[u8], bits: u32) -> Option<(u64, usize)> {
    let longest = (bits - 1) / 7;
    let mut number = 0;
    for (nth, byte) in (0..=longest).zip(bytes) {
        // The last byte of the longest number has no more than what is missing.
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

/// The next number, if it goes beyond what is at hand or is none.
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

#[cold]
#[inline(never)]
fn with_at_hand(bytes: usize, mut input: Input<'_>) -> Input<'_> {
    let Some(behind) = input.behind.take() else { return input };
    let former = input.left;
    let more = behind.left().min(WINDOW.saturating_sub(former));
    if former + more < bytes {
        return input;
    }
    // What is at hand of it lies in the window, or is nothing.
    if former > 0 {
        let from = input.start.addr() - behind.window.as_ptr().addr();
        behind.window.copy_within(from..from + former, 0);
    }
    let room: *mut [u8] = &raw mut behind.window[former..former + more];
    // SAFETY: bytes may be written to as such that need not be initialised, by who initialises them, which
    // `SharedBytes` promises.
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

    // SAFETY: all is copied.
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
