//! The ways to read a described value, and the progress of a reading.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::error::{Cause, Result};

/// How described values are compared with what `Deserialize` asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'p> {
    pub(super) by: By,
    /// Values are nested too deeply for a `Deserialize` that takes a value as whatever it is.
    pub(super) is_deep: bool,
    pub(super) progress: &'p Progress,
}

/// The progress of a reading. It notes errors even if a `Deserialize` ignores them.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// There was an error after which nothing more can be read.
    pub(super) has_failed: Cell<bool>,
    /// The depth of the value that is being read.
    pub(super) depth: Cell<usize>,
    /// The greatest depth that is allowed.
    pub(super) most: usize,
    /// A hash of the variants that `Deserialize` has chosen in an exact reading, in their order.
    variants: Cell<Option<u64>>,
}

impl Progress {
    /// The progress of reading a value in which others are nested to that depth.
    pub(super) fn new(depth: usize) -> Self {
        // The content of a variant is one level when it is written, and may be two when it is read.
        Self { most: depth.saturating_add(1).saturating_mul(2), ..Self::default() }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// The hash of the variants; `None` if there were none.
    pub(super) fn variants(&self) -> Option<u64> {
        self.variants.get()
    }

    /// Notes which variant `Deserialize` has chosen: one of its own identifiers.
    pub(super) fn note_variant<T>(&self, variant: &T) {
        let mut hasher = DefaultHasher::new();
        (self.variants.get(), std::mem::discriminant(variant)).hash(&mut hasher);
        self.variants.set(Some(hasher.finish()));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The value must be what is asked for, in kind, order and name. Variants are told by their
    /// names.
    Order,
    /// As `Order`, but variants are told by their numbers, as in the compact form.
    Number,
    /// As JSON, but an option that holds an empty option differs from an empty option.
    Name,
    /// As JSON.
    Json,
}

impl Reading<'_> {
    pub(super) fn is_exact(self) -> bool {
        matches!(self.by, By::Order | By::Number)
    }

    /// Returns an error, and notes that the bytes behind it cannot be read.
    pub(super) fn fail<T>(self, cause: Cause) -> Result<T> {
        self.progress.has_failed.set(true);
        Err(cause.into())
    }

    /// Returns what a visitor has made of items. The visitor must have taken all of them.
    pub(super) fn close<T>(self, value: Result<T>, are_all_taken: Result<()>) -> Result<T> {
        if are_all_taken.is_err() {
            self.progress.has_failed.set(true);
        }
        value.and_then(|value| are_all_taken.map(|()| value))
    }
}
