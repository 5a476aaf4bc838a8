//! Room on the stack for values that are nested however deep.
//!
//! A value that contains values of its own type does so through an option, a sequence, a map or a
//! variant. There the serializers and deserializers check whether the stack is nearly used up, by
//! comparing an address with a limit, and continue on a new piece of stack if it is.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr;

use super::error::{Cause, Result};

/// The bytes of stack that are left for the calls between two checks, which are one level of
/// nesting.
const LEAST: usize = 128 << 10;

/// The size of a new piece of stack in bytes.
const PIECE: usize = 4 << 20;

/// The most pieces that one thread uses. They are 1 GiB: enough for a value of millions of levels,
/// and within the memory of most machines.
pub(super) const MOST_PIECES: usize = 256;

/// The lowest address at which the stack that is in use still has [`LEAST`] bytes.
#[derive(Clone, Copy)]
pub(super) struct Limit(usize);

thread_local! {
    /// The limit of the stack with which this thread began, and the end of that stack. The limits
    /// of other stacks are not kept but asked for each time, because a new stack may lie where an
    /// earlier one was.
    static FIRST: Cell<(usize, usize)> = const { Cell::new(UNKNOWN) };
    /// The number of pieces that this thread uses.
    static PIECES: Cell<usize> = const { Cell::new(0) };
}

const UNKNOWN: (usize, usize) = (1, 0);

impl Limit {
    /// The limit of the stack that this thread uses now.
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
        // If nothing is known of the stack, the limit is zero, which is never near.
        let left = stacker::remaining_stack().unwrap_or(usize::MAX);
        Self((here() + LEAST).saturating_sub(left))
    }

    #[inline]
    pub(super) fn is_near(self) -> bool {
        here() < self.0
    }
}

/// The addresses of the stack with which this thread began; empty where the system does not tell.
fn first_stack() -> Range<usize> {
    let mut attributes = MaybeUninit::uninit();
    let (mut start, mut length) = (ptr::null_mut(), 0);
    // SAFETY: the pointers lead to variables of the types that are asked for. The attributes are
    // read and destroyed only after the first call has written them.
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

/// An address in the current frame of the stack.
#[inline(always)]
fn here() -> usize {
    let place = 0_u8;
    (&raw const place).addr()
}

/// Runs `body` on a new piece of stack, with the limit of that piece.
///
/// # Errors
///
/// If there are [`MOST_PIECES`] already.
#[cold]
#[inline(never)]
pub(super) fn on_a_new_piece<T>(body: impl FnOnce(Limit) -> Result<T>) -> Result<T> {
    on_other_stack(PIECE, || body(Limit::now()))
}

/// Runs `body` with at least `bytes` bytes of stack beyond those for one level of nesting.
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

/// Switches the stack. It is not generic, so that it is not compiled for each type.
fn grow(bytes: usize, body: &mut dyn FnMut()) {
    stacker::grow(bytes, body);
}

/// A piece of stack that is counted as long as this value lives.
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
