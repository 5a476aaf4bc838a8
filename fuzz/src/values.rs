//! Values of several types, sent as arguments and results: whole, damaged, and while they change.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use farm_core::codec::Form;
use farm_core::{Data, Plain};
use farm_core::backend::{Failure, FromWorker, Function, ToWorker};

mod arrival;
mod attributes;
mod changing;
mod damage;
mod derived;
mod many;
mod received;
mod text;

use attributes::{Adjacent, Flat, Json, Keyed, Open, Sparse, Tagged, Untagged};
use derived::{Blocks, Choice, Empty, Mixed, Nest, Numbers, Odd};

pub use arrival::arrive;
pub use changing::receive_changing;
pub use damage::receive_damaged;
pub use derived::Shape;

use changing::Changing;

pub fn keep<T>(value: T) -> T {
    value
}

/// A type of values, with the functions of the targets for that type.
struct Kind {
    names: fn() -> [&'static str; 2],
    arrive: fn(&mut Unstructured<'_>) -> arbitrary::Result<()>,
    encode: fn(&mut Unstructured<'_>, Form, usize) -> arbitrary::Result<Vec<u8>>,
    receive: fn(Form, &[u8]),
    receive_changing: fn(&Changing),
}

/// Which values of a type arrive unchanged: all, or those that JSON brings back unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Promise {
    All,
    AsJson,
}

impl Kind {
    const fn derived<T: Data + Debug + for<'a> Arbitrary<'a>>() -> Self {
        Self {
            arrive: |u| arrival::check::<T>(u, Promise::All),
            encode: damage::encode::<T>,
            receive: |form, bytes| received::check::<T>(form, bytes, Promise::All),
            ..Self::foreign::<T>()
        }
    }

    const fn with_attributes<T: Data + Debug + for<'a> Arbitrary<'a>>() -> Self {
        Self {
            arrive: |u| arrival::check::<T>(u, Promise::AsJson),
            encode: damage::encode::<T>,
            receive: |form, bytes| received::check::<T>(form, bytes, Promise::AsJson),
            ..Self::foreign::<T>()
        }
    }

    /// A type whose values are made from encoded bytes alone, not by `Arbitrary`.
    const fn foreign<T: Data + Debug>() -> Self {
        Self {
            names: || [Function::of(keep::<T>).name(), Function::of(keep::<Vec<T>>).name()],
            arrive: |_| Ok(()),
            encode: |u, _, _| Ok(u.arbitrary::<&[u8]>()?.to_vec()),
            receive: |form, bytes| received::check::<T>(form, bytes, Promise::All),
            receive_changing: changing::check::<T>,
        }
    }
}

const KINDS: [Kind; 28] = [
    Kind::derived::<u64>(),
    Kind::derived::<()>(),
    Kind::derived::<Vec<String>>(),
    Kind::derived::<Vec<Vec<Option<u64>>>>(),
    Kind::derived::<Shape>(),
    Kind::derived::<[Shape; 3]>(),
    Kind::derived::<Choice>(),
    Kind::derived::<Mixed>(),
    Kind::derived::<Numbers>(),
    Kind::derived::<Odd>(),
    Kind::derived::<Blocks>(),
    Kind::derived::<Nest>(),
    Kind::derived::<Empty>(),
    Kind::with_attributes::<Untagged>(),
    Kind::with_attributes::<Tagged>(),
    Kind::with_attributes::<Adjacent>(),
    Kind::with_attributes::<Sparse>(),
    Kind::with_attributes::<Flat>(),
    Kind::with_attributes::<Open>(),
    Kind::with_attributes::<Keyed>(),
    Kind::with_attributes::<Json>(),
    Kind::with_attributes::<Vec<Option<Tagged>>>(),
    Kind::foreign::<Plain<f64>>(),
    Kind::foreign::<Plain<[u16; 3]>>(),
    Kind::foreign::<(Plain<f32>, String, Plain<i64>)>(),
    Kind::foreign::<Failure>(),
    Kind::foreign::<ToWorker>(),
    Kind::foreign::<FromWorker>(),
];

fn any_kind(u: &mut Unstructured<'_>) -> arbitrary::Result<&'static Kind> {
    static ALL: &[Kind] = &KINDS;
    u.choose(ALL)
}

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().flat_map(|kind| (kind.names)())
}
