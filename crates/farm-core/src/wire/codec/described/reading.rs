//! How a described value is read, and what has become of that.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::super::error::{Cause, Result};

/// How what is described is matched with what `Deserialize` asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'p> {
    pub(super) by: By,
    /// Values lie too deep in each other for those that are asked for as what they are.
    pub(super) is_deep: bool,
    pub(super) progress: &'p Progress,
}

/// What has become of a reading, whatever a `Deserialize` makes of the errors on the way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// There was an error behind which nothing can be read.
    pub(super) has_failed: Cell<bool>,
    pub(super) depth: Cell<usize>,
    /// So deep values may lie in others here.
    pub(super) most: usize,
    /// What the variants were taken for, in an exact reading, one after the other.
    variants: Cell<Option<u64>>,
}

impl Progress {
    /// Of a value in which others lie so deep.
    pub(super) fn new(depth: usize) -> Self {
        // What is in a variant is one level when it is written, and may be two when it is read.
        Self { most: depth.saturating_add(1).saturating_mul(2), ..Self::default() }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.has_failed.get()
    }

    /// `None` if there were none.
    pub(super) fn variants(&self) -> Option<u64> {
        self.variants.get()
    }

    /// A variant was taken for this.
    pub(super) fn note_variant<T>(&self, variant: &T) {
        let mut hasher = DefaultHasher::new();
        (self.variants.get(), std::mem::discriminant(variant)).hash(&mut hasher);
        self.variants.set(Some(hasher.finish()));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// It must be what is asked for, in kind, order and name. Variants are told by their names.
    Order,
    /// The same, with variants told by their numbers, as the compact form has them.
    Number,
    /// As JSON, but an option that holds an empty one is told from an empty one.
    Name,
    /// As JSON.
    Json,
}

impl Reading<'_> {
    pub(super) fn is_exact(self) -> bool {
        matches!(self.by, By::Order | By::Number)
    }

    /// What is behind can no longer be read.
    pub(super) fn fail<T>(self, cause: Cause) -> Result<T> {
        self.progress.has_failed.set(true);
        Err(cause.into())
    }

    /// What a visitor has made of items, which it has to take all.
    pub(super) fn close<T>(self, value: Result<T>, are_all_taken: Result<()>) -> Result<T> {
        if are_all_taken.is_err() {
            self.progress.has_failed.set(true);
        }
        value.and_then(|value| are_all_taken.map(|()| value))
    }
}
