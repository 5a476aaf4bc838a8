//! Vectors and slices of `f64`, `f32`, `u8` and `i8`, copied as one block.
//!
//! postcard encodes these numbers as they lie in memory. serde offers them to their format number
//! by number, and no user code runs in between. So a copy of the whole block gives the same bytes,
//! and is faster.

use std::any::TypeId;
use std::mem::ManuallyDrop;

use bytemuck::Pod;
use serde::de::{DeserializeOwned, Visitor};

use super::error::Result;
use super::input::Input;
use super::shape::{Kind, type_id};
use crate::wire::plain::Block;

mod visitor;

/// The number of items, their kind and their bytes, if `items` is a reference to a vector or a
/// slice of such numbers.
#[inline]
pub(super) fn as_bytes<I>(items: &I) -> Option<(usize, Kind, &[u8])> {
    fn of<N: Pod, I>(items: &I, kind: Kind) -> Option<(usize, Kind, &[u8])> {
        let numbers: &[N] = if type_id::<I>() == TypeId::of::<&'static Vec<N>>() {
            // SAFETY: `I` is that type except for its lifetime, which does not end before that of
            // `items`.
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

/// Takes `length` items off the front of the input, if `V` is the visitor with which serde decodes
/// a vector of such numbers.
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
        // A visitor of another origin may produce the same type in another way, so the visitor
        // itself is compared, too.
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

/// Takes a block of `bytes` bytes off the front of the input, if `V` is the visitor with which
/// [`crate::wire::plain`] decodes such numbers. Otherwise returns the visitor.
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

/// The vector as a `V`, which must be the type of the vector.
fn as_same<N: 'static, V>(numbers: Vec<N>) -> V {
    assert!(type_id::<V>() == TypeId::of::<Vec<N>>(), "the types are the same");
    let numbers = ManuallyDrop::new(numbers);
    // SAFETY: the two types are the same, as was just asserted, and the original is not dropped.
    unsafe { std::mem::transmute_copy::<Vec<N>, V>(&numbers) }
}

/// The items that lie in `bytes`, which need not be aligned. Bytes that are not a whole item at the
/// end are ignored.
pub(crate) fn collect<N: Pod>(bytes: &[u8]) -> Vec<N> {
    let items = bytes.len() / size_of::<N>().max(1);
    Input::new(bytes).items(items).unwrap_or_default()
}
