//! A handle as it is on the wire, with any number in it.

use arbitrary::Arbitrary;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Wire {
    Lent {
        key: u64,
        segment: Segment,
        element: usize,
        whole: Vec<usize>,
        rows: (usize, usize),
        undo: Option<Segment>,
    },
    Home {
        key: u64,
        rows: (usize, usize),
    },
}

/// The name of a segment.
#[derive(Arbitrary, Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) pid: u32,
    pub(super) started: u64,
    pub(super) n: u64,
}

/// A number, of those that make a difference.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Number {
    Small(u8),
    Large(u8),
    Any(usize),
}

impl From<Number> for usize {
    fn from(number: Number) -> Self {
        match number {
            Number::Small(n) => n.into(),
            Number::Large(n) => {
                (usize::MAX >> (n % 64)).wrapping_sub(usize::from(n / 64)).wrapping_add(1)
            }
            Number::Any(n) => n,
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Rows(Number, Number);

impl From<Rows> for (usize, usize) {
    fn from(Rows(start, end): Rows) -> Self {
        (start.into(), end.into())
    }
}
