//! Vectors of numbers that postcard encodes as they lie in memory: they are copied as one block.
//!
//! serde offers them to their format number by number, and no one else has a say in between: so that the outcome
//! is the same to the byte, and only arrives sooner.

use std::any::TypeId;
use std::mem::ManuallyDrop;

use bytemuck::Pod;
use serde::de::{DeserializeOwned, Visitor};

use super::error::Result;
use super::input::Input;
use super::shape::{Kind, type_id};
use crate::wire::plain::Block;

mod visitor;

/// The bytes of `items`, and how many items they are, if that is a vector or a slice of such numbers.
#[inline]
pub(super) fn as_bytes<I>(items: &I) -> Option<(usize, Kind, &[u8])> {
    fn of<N: Pod, I>(items: &I, kind: Kind) -> Option<(usize, Kind, &[u8])> {
        let numbers: &[N] = if type_id::<I>() == TypeId::of::<&'static Vec<N>>() {
            // SAFETY: but for its lifetime, which does not end before that of `items`, `I` is that type.
            unsafe { *std::ptr::from_ref(items).cast::<&Vec<N>>() }
        } else if type_id::<I>() == TypeId::of::<&'static [N]>() {
            // SAFETY: as above.
            unsafe { *std::ptr::from_ref(items).cast::<&[N]>() }
        } else {
            return None;
        };
        Some((numbers.len(), kind, bytemuck::cast_slice(numbers)))
    }
    if cfg!(target_endian = "big") {
        return None;
    }
    of::<f64, I>(items, Kind::F64)
        .or_else(|| of::<f32, I>(items, Kind::F32))
        .or_else(|| of::<u8, I>(items, Kind::U8))
        .or_else(|| of::<i8, I>(items, Kind::I8))
}

/// Takes `length` items off the front of the input, if `V` is what serde decodes a vector of such numbers with.
#[inline]
pub(super) fn take<'de, V: Visitor<'de>>(
    length: usize,
    input: &mut Input<'_>,
) -> Option<Result<V::Value>> {
    #[inline]
    fn of<'de, N: Pod + DeserializeOwned, V: Visitor<'de>>(
        length: usize,
        input: &mut Input<'_>,
    ) -> Option<Result<V::Value>> {
        // Visitors of others may have the same outcome and make it in another way.
        if type_id::<V::Value>() != TypeId::of::<Vec<N>>()
            || Some(type_id::<V>()) != visitor::of::<Vec<N>>()
        {
            return None;
        }
        Some(input.items::<N>(length).map(as_same))
    }
    if cfg!(target_endian = "big") {
        return None;
    }
    of::<f64, V>(length, input)
        .or_else(|| of::<f32, V>(length, input))
        .or_else(|| of::<u8, V>(length, input))
        .or_else(|| of::<i8, V>(length, input))
}

/// Takes a block of so many bytes off the front of the input, if `V` is what [`crate::wire::plain`] decodes such numbers with; else
/// gives the visitor back.
#[inline]
pub(super) fn take_block<'de, V: Visitor<'de>>(
    bytes: usize,
    input: &mut Input<'_>,
    visitor: V,
) -> std::result::Result<Result<V::Value>, V> {
    macro_rules! numbers {
        ($($number:ty)*) => {$(
            if type_id::<V>() == TypeId::of::<Block<$number>>()
                && bytes.is_multiple_of(size_of::<$number>())
            {
                return Ok(input.items::<$number>(bytes / size_of::<$number>()).map(as_same));
            }
        )*};
    }
    numbers! { f64 f32 u8 i8 u16 i16 u32 i32 u64 i64 usize isize u128 i128 }
    Err(visitor)
}

/// The vector as a value of a type that is known to be that of the vector.
fn as_same<N: 'static, V>(numbers: Vec<N>) -> V {
    assert!(type_id::<V>() == TypeId::of::<Vec<N>>(), "the types are the same");
    let numbers = ManuallyDrop::new(numbers);
    // SAFETY: the two are one type, as has just been seen, and the vector is not dropped here as well.
    unsafe { std::mem::transmute_copy::<Vec<N>, V>(&numbers) }
}

/// The items that lie in `bytes`, which need not be aligned; what is left over is left out.
pub(crate) fn collect<N: Pod>(bytes: &[u8]) -> Vec<N> {
    let items = bytes.len() / size_of::<N>().max(1);
    Input::new(bytes).items(items).unwrap_or_default()
}
