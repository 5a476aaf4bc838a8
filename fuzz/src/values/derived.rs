//! Types whose `Deserialize` asks for exactly what their `Serialize` writes. All their values
//! arrive unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use serde::{Deserialize, Serialize};

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub enum Shape {
    Point,
    Line(f64, f64),
    Named { name: String, corners: Vec<(i32, Option<u8>)> },
    Filled(#[serde(with = "farm_core::plain")] Vec<u16>),
    Group(Vec<Shape>),
    Inside(Box<Shape>),
}

pub(super) type Mixed = (i128, f32, char, Duration, NonZeroU8, IpAddr, Result<bool, OsString>);

pub(super) type Numbers = ((u8, u16, u32, u64, u128), (i8, i16, i32, i64, i128), usize, isize);

/// Maps with keys that JSON cannot write, and options in options.
pub(super) type Odd = (
    BTreeMap<(i8, bool), Option<Option<()>>>,
    BTreeMap<Option<char>, Vec<Option<Option<u8>>>>,
    BTreeMap<Choice, BTreeSet<i16>>,
);

#[derive(Arbitrary, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Choice {
    Nothing,
    Number(u64),
    Pair(i8, String),
    Named { text: String, flag: Option<bool> },
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub struct Blocks {
    #[serde(with = "farm_core::plain")]
    bytes: Vec<u8>,
    #[serde(with = "farm_core::plain")]
    long: Vec<u128>,
    floats: Vec<f64>,
    short: Vec<f32>,
    signed: Vec<i8>,
    wrapped: Wrapped,
    nothing: Nothing,
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub struct Wrapped(Option<Box<Wrapped>>);

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub struct Nothing;

/// Sequences and maps whose elements take no bytes.
pub(super) type Empty = (Vec<()>, Vec<Hidden>, BTreeMap<(), Nothing>, Vec<[Hidden; 2]>);

/// A type that has a size in memory, but takes no bytes when it is encoded.
#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub struct Hidden {
    #[serde(skip)]
    #[arbitrary(default)]
    #[expect(dead_code, reason = "it gives the type a size")]
    hidden: u64,
}

/// A type whose values can be deeply nested.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Nest {
    Leaf(u8),
    Boxed(Box<Nest>),
    Optional(Option<Box<Nest>>),
    List(Vec<Nest>),
    Named { inner: Box<Nest>, number: u16 },
    Map(BTreeMap<u8, Nest>),
    Pair(Box<(Nest, Option<Nest>)>),
}

impl<'a> Arbitrary<'a> for Nest {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const LAYERS: usize = 12;
        let mut nest = Self::Leaf(u.arbitrary()?);
        for _ in 0..u.int_in_range(0..=LAYERS)? {
            let layer = u.arbitrary::<u8>()?;
            let times = if u.ratio(1, 24)? { u.arbitrary()? } else { 1_u8 };
            nest = (0..times).fold(nest, |inner, n| inner.within(layer, n));
        }
        Ok(nest)
    }
}

impl Nest {
    fn within(self, layer: u8, n: u8) -> Self {
        match layer % 6 {
            0 => Self::Boxed(Box::new(self)),
            1 => Self::Optional(Some(Box::new(self))),
            2 => Self::List(vec![Self::Optional(None), self]),
            3 => Self::Named { inner: Box::new(self), number: n.into() },
            4 => Self::Map(BTreeMap::from([(n, self)])),
            _ => Self::Pair(Box::new((Self::Leaf(n), Some(self)))),
        }
    }
}
