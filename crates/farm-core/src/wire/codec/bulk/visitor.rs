//! Finds out with which visitor serde decodes a vector. Its type cannot be named, because serde
//! declares it inside a function, but a deserializer is given the visitor.

use std::any::TypeId;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// The identity of the visitor with which `T` asks for a sequence; `None` if `T` asks for something
/// else.
#[inline]
pub(super) fn of<T: Deserialize<'static>>() -> Option<TypeId> {
    T::deserialize(Witness).err().and_then(|seen| seen.0)
}

/// A deserializer that notes the type of the visitor and returns it as an error.
struct Witness;

#[derive(Debug)]
struct Seen(Option<TypeId>);

impl<'de> Deserializer<'de> for Witness {
    type Error = Seen;

    #[inline]
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Seen> {
        Err(Seen(None))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Seen> {
        Err(Seen(Some(super::super::shape::type_id::<V>())))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl std::error::Error for Seen {}

impl Error for Seen {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(None)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is nothing to be decoded")
    }
}
