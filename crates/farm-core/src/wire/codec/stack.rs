//! Room on the stack for values that contain values, however deep.
//!
//! A value that contains itself does so through an option, a sequence, a map or a variant. There the
//! serializers and deserializers look whether the stack is nearly used up, by comparing an address with a
//! limit, and go on with a new piece of stack if it is.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

use super::error::{Cause, Result};

/// So much is left for what is called between two looks: one level of nesting.
const LEAST: usize = 128 << 10;

/// A new piece of stack.
const PIECE: usize = 4 << 20;

/// So many pieces, which are 1 GiB, are enough for a value of millions of levels, and few enough for the memory of most machines.
pub(super) const MOST_PIECES: usize = 256;

/// The lowest address at which there is still enough of the stack that is in use.
#[derive(Clone, Copy)]
pub(super) struct Limit(usize);

thread_local! {
    /// The limit of the stack with which this thread began, and the end of that stack. Where this function is called from
    /// another, the limit is asked for: another may come to lie where that one was.
    static FIRST: Cell<(usize, usize)> = const { Cell::new(UNKNOWN) };
    /// How many pieces are in use.
    static PIECES: Cell<usize> = const { Cell::new(0) };
}

const UNKNOWN: (usize, usize) = (1, 0);

impl Limit {
    /// That of this thread, as it is now.
    #[inline]
    pub(super) fn now() -> Self {
        let (limit, end) = FIRST.get();
        let here = here();
        if limit <= here && here <= end { Self(limit) } else { Self::look() }
    }

    #[cold]
    #[inline(never)]
    fn look() -> Self {
        if FIRST.get() == UNKNOWN {
            let Range { start, end } = first_stack();
            FIRST.set((start + LEAST, end));
        }
        // Where nothing is known of the stack, nothing can be done about it.
        let left = stacker::remaining_stack().unwrap_or(usize::MAX);
        Self((here() + LEAST).saturating_sub(left))
    }

    #[inline]
    pub(super) fn is_near(self) -> bool {
        here() < self.0
    }
}

/// The stack with which this thread began; empty where the system does not say.
fn first_stack() -> Range<usize> {
    let mut attributes = MaybeUninit::uninit();
    let (mut start, mut length) = (ptr::null_mut(), 0);
    // SAFETY: the pointers are to places of those types; what is read was written by the call before, and is given back.
    let is_known = unsafe {
        libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) == 0 && {
            let got = libc::pthread_attr_getstack(attributes.as_ptr(), &mut start, &mut length);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            got == 0
        }
    };
    let start = start.addr();
    if is_known { start..start.saturating_add(length) } else { 0..0 }
}

/// Where the stack is.
#[inline(always)]
fn here() -> usize {
    let place = 0_u8;
    (&raw const place).addr()
}

/// Does something on a new piece of stack, with the limit that holds there.
///
/// # Errors
///
/// If there are too many.
#[cold]
#[inline(never)]
pub(super) fn on_a_new_piece<T>(body: impl FnOnce(Limit) -> Result<T>) -> Result<T> {
    on_other_stack(PIECE, || body(Limit::now()))
}

/// Does something with at least so many bytes of stack beyond those for one level of nesting.
///
/// # Errors
///
/// As [`on_a_new_piece`].
pub(super) fn with<T>(bytes: usize, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let least = LEAST + bytes;
    if stacker::remaining_stack().is_none_or(|left| left >= least) {
        return body();
    }
    on_other_stack(PIECE.max(least), body)
}

#[cold]
#[inline(never)]
fn on_other_stack<T>(bytes: usize, body: impl FnOnce() -> Result<T>) -> Result<T> {
    let _piece = Piece::new()?;
    let mut body = Some(body);
    let mut value = None;
    grow(bytes, &mut || value = body.take().map(|body| body()));
    value.expect("it was called")
}

/// One function for all that is done there, or each type would have its own.
fn grow(bytes: usize, body: &mut dyn FnMut()) {
    stacker::grow(bytes, body);
}

/// Counts a piece as long as it is in use.
struct Piece;

impl Piece {
    fn new() -> Result<Self> {
        let pieces = PIECES.get();
        if pieces == MOST_PIECES {
            return Err(Cause::Stack.into());
        }
        PIECES.set(pieces + 1);
        Ok(Self)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        PIECES.set(PIECES.get() - 1);
    }
}
