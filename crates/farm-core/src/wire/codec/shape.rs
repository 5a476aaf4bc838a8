//! The shape of a value: what its `Serialize` calls, without the numbers and texts themselves.
//!
//! The compact form has neither names nor kinds, so it brings a value back only if `Deserialize` asks
//! for just what `Serialize` has written, in that order. Attributes such as `skip_serializing`, `untagged`
//! or `flatten` break that, and so can any `Serialize` by hand, for some values and not for others.
//!
//! So a shape is cut into *facts*, each a number that stands for: "in a value of this type, after these
//! calls, there came these". A fact is [known](super::known) once a value in which it occurred was found to
//! come back. A value all of whose facts are known goes in the compact form; else it goes in the
//! described form, and the receiver finds out.
//!
//! A fact ends where values of one type can differ: with an element of a sequence, the content of an
//! option, a variant. A struct or an enum begins with nothing but its type, so that values which contain
//! themselves have a finite number of facts.

use std::any::TypeId;
use std::hash::{Hash, Hasher};

/// The calls since the last cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) u64);

/// What is called. Each kind of value has one number, which is that of the described form as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Unit = 1,
    Bool,
    I8,
    I16,
    I32,
    I64,
    I128,
    U8,
    U16,
    U32,
    U64,
    U128,
    F32,
    F64,
    Char,
    Str,
    Bytes,
    None,
    Some,
    Seq,
    Tuple,
    Map,
    Struct,
    TupleStruct,
    UnitVariant,
    NewtypeVariant,
    TupleVariant,
    StructVariant,
    /// A sequence of numbers that all lie together, see [`super::bulk`].
    Block,
}

/// That of the multiplicative hash of rustc. Source: the crate `rustc-hash`, version 1.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

/// What ends a fact.
const END: u64 = 0xf0;
const ELEMENT: u64 = 0xf1;
const INNER: u64 = 0xf2;

impl Shape {
    /// A value of the type with that identity begins.
    #[inline]
    pub(super) fn of(identity: u64) -> Self {
        Self(identity | 1)
    }

    #[inline]
    pub(super) fn and(self, call: u64) -> Self {
        Self((self.0.rotate_left(5) ^ call).wrapping_mul(FACTOR))
    }

    #[inline]
    pub(super) fn and_kind(self, kind: Kind) -> Self {
        self.and(kind as u64)
    }

    /// A field of that name comes. The name counts by its place in the executable, which is the same
    /// in all processes that run it.
    #[inline]
    pub(super) fn and_name(self, name: &'static str) -> Self {
        static ANCHOR: u8 = 0;
        let place = name.as_ptr().addr().wrapping_sub((&raw const ANCHOR).addr());
        self.and((place as u64) << 8 ^ name.len() as u64)
    }

    /// All has come that belongs to a value.
    #[inline]
    pub(super) fn end(self) -> Self {
        self.and(END)
    }

    /// A struct or a variant has come, which has facts of its own. What comes behind it is not told by which variant it
    /// was, or fields that are enums would make a fact of each combination.
    #[inline]
    pub(super) fn inner(self) -> Self {
        self.and(INNER)
    }

    /// An element, or what else there may be none or many of, begins.
    #[inline]
    pub(super) fn element(self) -> Self {
        self.and(ELEMENT)
    }
}

/// A number for a type, the same in all processes that run this executable.
#[inline]
pub(super) fn identity<T: ?Sized>() -> u64 {
    struct Number(u64);
    impl Hasher for Number {
        #[inline]
        fn finish(&self) -> u64 {
            self.0
        }

        #[inline]
        fn write(&mut self, bytes: &[u8]) {
            for chunk in bytes.chunks(8) {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                self.write_u64(u64::from_ne_bytes(word));
            }
        }

        #[inline]
        fn write_u64(&mut self, word: u64) {
            self.0 = Shape(self.0).and(word).0;
        }
    }
    let mut number = Number(0);
    type_id::<T>().hash(&mut number);
    number.finish()
}

/// The identity of a type, whatever lifetimes are in it.
#[inline]
pub(super) fn type_id<T: ?Sized>() -> TypeId {
    use std::marker::PhantomData;
    trait Identity {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T: ?Sized> Identity for PhantomData<T> {
        fn id(&self) -> TypeId
        where
            Self: 'static,
        {
            TypeId::of::<T>()
        }
    }
    let of: &dyn Identity = &PhantomData::<T>;
    // SAFETY: lifetimes are no part of what is called. It is given a value that has no size, and keeps nothing.
    let of: &(dyn Identity + 'static) = unsafe { std::mem::transmute(of) };
    of.id()
}
