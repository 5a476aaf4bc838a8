//! Handles and grants as they are on the wire, with any numbers in them.

use std::ops::Range;

use arbitrary::Arbitrary;
use farm_core::codec::{self, Form};
use serde::{Deserialize, Serialize};

use crate::forms;

/// What a handle in an argument lends. The handle itself is encoded as a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) access: Access,
    pub(super) segment: Segment,
    pub(super) element: usize,
    pub(super) whole: Vec<usize>,
    pub(super) rows: Range<usize>,
    pub(super) undo: Option<Segment>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Access {
    Read,
    Write,
}

/// A handle as it is encoded in a result.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Return {
    pub(super) key: u64,
    pub(super) rows: Range<usize>,
}

/// The grants behind the value of an argument: keys, each with its encoded [`Grant`].
pub(super) type Grants = Vec<(u64, Vec<u8>)>;

pub(super) fn encode(grant: &Grant) -> Vec<u8> {
    codec::encode(grant).expect("they are numbers")
}

/// An argument that consists of handles with these keys, and of these grants.
pub(super) fn argument(keys: &impl Serialize, form: Form, grants: &Grants) -> Vec<u8> {
    let grants =
        if grants.is_empty() { Vec::new() } else { codec::encode(grants).expect("bytes") };
    let keys = forms::encode_in(form, keys).expect("they are numbers");
    forms::argument(form, &keys, &grants)
}

/// Splits an argument into the bytes of the value, its form, and its grants.
pub(super) fn take_apart(argument: &[u8]) -> Option<(&[u8], Form, Grants)> {
    let (value, form, grants) = forms::take_apart(argument)?;
    let none = grants.is_empty().then(Vec::new);
    Some((value, form, none.or_else(|| codec::decode(grants).ok())?))
}

/// The name of a segment.
#[derive(Arbitrary, Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) pid: u32,
    pub(super) started: u64,
    pub(super) n: u64,
}

/// A number, preferably small, or near the largest or a power of two.
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

impl From<Rows> for Range<usize> {
    fn from(Rows(start, end): Rows) -> Self {
        start.into()..end.into()
    }
}
