//! Room on the stack for values that contain values, however deep.
//!
//! A value that contains itself does so through an option, a sequence, a map or a variant. There the
//! serializers and deserializers look whether the stack is nearly used up, by comparing an address with a
//! limit, and go on with a new piece of stack if it is.

use std::cell::Cell;

/// So much is left for what is called between two looks: one level of nesting.
const LEAST: usize = 128 << 10;

/// A new piece of stack.
const PIECE: usize = 4 << 20;

/// The lowest address at which there is still enough of the stack that is in use.
#[derive(Clone, Copy)]
pub(super) struct Limit(usize);

thread_local! {
    /// The limit, and an address at which it was seen to hold: so it does for those between them. To ask each
    /// time would take as long as to encode a number.
    static SEEN: Cell<(usize, usize)> = const { Cell::new(NOTHING) };
}

const NOTHING: (usize, usize) = (1, 0);

impl Limit {
    /// That of this thread, as it is now.
    #[inline]
    pub(super) fn now() -> Self {
        let (limit, highest) = SEEN.get();
        let here = here();
        if limit <= here && here <= highest { Self(limit) } else { Self::look(here) }
    }

    #[cold]
    #[inline(never)]
    fn look(from: usize) -> Self {
        // Where nothing is known of the stack, nothing can be done about it.
        let left = stacker::remaining_stack().unwrap_or(usize::MAX);
        let limit = (here() + LEAST).saturating_sub(left);
        SEEN.set((limit, from));
        Self(limit)
    }

    #[inline]
    pub(super) fn is_near(self) -> bool {
        here() < self.0
    }
}

/// Forgets what was seen: the stack that it was seen of goes out of use.
struct Forget;

impl Drop for Forget {
    fn drop(&mut self) {
        SEEN.set(NOTHING);
    }
}

/// Where the stack is.
#[inline(always)]
fn here() -> usize {
    let place = 0_u8;
    (&raw const place).addr()
}

/// Does something on a new piece of stack, with the limit that holds there.
#[cold]
#[inline(never)]
pub(super) fn on_a_new_piece<T>(body: impl FnOnce(Limit) -> T) -> T {
    on_other_stack(PIECE, || body(Limit::now()))
}

/// Does something with at least so many bytes of stack beyond those for one level of nesting.
pub(super) fn with<T>(bytes: usize, body: impl FnOnce() -> T) -> T {
    let least = LEAST + bytes;
    if stacker::remaining_stack().is_none_or(|left| left >= least) {
        return body();
    }
    on_other_stack(PIECE.max(least), body)
}

#[cold]
#[inline(never)]
fn on_other_stack<T>(bytes: usize, body: impl FnOnce() -> T) -> T {
    let mut body = Some(body);
    let mut value = None;
    grow(bytes, &mut || value = body.take().map(|body| body()));
    value.expect("it was called")
}

/// One function for all that is done there, or each type would have its own.
fn grow(bytes: usize, body: &mut dyn FnMut()) {
    let _forget = Forget;
    stacker::grow(bytes, body);
}
