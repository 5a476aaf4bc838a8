//! The shape of a value: what its `Serialize` calls, without the numbers and texts themselves.
//!
//! The compact form has neither names nor kinds, so it brings a value back only if `Deserialize`
//! asks for exactly what `Serialize` has written, in the same order. Attributes such as
//! `skip_serializing`, `untagged` or `flatten` break that, and so can a hand-written `Serialize`,
//! for some values and not for others.
//!
//! A shape is therefore cut into *facts*. Each fact is a number that stands for: "in a value of
//! this type, these calls were followed by those". A fact is [known](super::known) once a value in
//! which it occurred was found to come back. A value all of whose facts are known goes in the
//! compact form. Any other goes in the described form, and its receiver finds out.
//!
//! A fact ends where values of one type can differ: at an element of a sequence, the content of an
//! option, or a variant. The facts inside a struct or an enum begin with nothing but its type, so
//! that values which contain values of their own type have a finite number of facts.

use std::any::TypeId;
use std::hash::{Hash, Hasher};

/// The calls since the last fact ended, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape(pub(super) u64);

/// The kinds of values, one for each method of a serializer. The described form writes the same
/// numbers.
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
    /// A sequence of numbers that lie together, see [`super::bulk`].
    Block,
}

/// The factor of the multiplicative hash of rustc. Source: the crate `rustc-hash`, version 1.
const FACTOR: u64 = 0x517c_c1b7_2722_0a95;

/// These words stand in a shape for calls that are no kinds: the end of a value, the beginning of
/// an element, and a struct or a variant as a whole.
const END: u64 = 0xf0;
const ELEMENT: u64 = 0xf1;
const INNER: u64 = 0xf2;

impl Shape {
    /// The shape of a value of the type with that identity, before any call.
    #[inline]
    pub(super) fn of(identity: u64) -> Self {
        Self(identity | 1)
    }

    /// Adds a call.
    #[inline]
    pub(super) fn and(self, call: u64) -> Self {
        Self((self.0.rotate_left(5) ^ call).wrapping_mul(FACTOR))
    }

    #[inline]
    pub(super) fn and_kind(self, kind: Kind) -> Self {
        self.and(kind as u64)
    }

    /// Adds the name of a field or a variant. It is told by its place in the executable, which is
    /// the same in all processes that run it.
    #[inline]
    pub(super) fn and_name(self, name: &'static str) -> Self {
        static ANCHOR: u8 = 0;
        let place = name.as_ptr().addr().wrapping_sub((&raw const ANCHOR).addr());
        self.and((place as u64) << 8 ^ name.len() as u64)
    }

    /// Adds the end of a value.
    #[inline]
    pub(super) fn end(self) -> Self {
        self.and(END)
    }

    /// Adds a struct or a variant that has ended, which has facts of its own. The variant is not
    /// told: otherwise, if several fields are enums, each combination of their variants would be a
    /// fact.
    #[inline]
    pub(super) fn inner(self) -> Self {
        self.and(INNER)
    }

    /// Adds the beginning of an element, or of something else that may be absent or repeated.
    #[inline]
    pub(super) fn element(self) -> Self {
        self.and(ELEMENT)
    }
}

/// A number for a type, which is the same in all processes that run this executable.
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

/// The identity of a type, regardless of the lifetimes in it.
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
    // SAFETY: only a lifetime is changed. The method that is called does not depend on lifetimes,
    // and its `self` has no size, so it reads nothing and keeps nothing.
    let of: &(dyn Identity + 'static) = unsafe { std::mem::transmute(of) };
    of.id()
}
