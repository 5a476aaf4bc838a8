//! Vectors of numbers that postcard encodes as they lie in memory: they are copied as one block.
//!
//! serde offers them to their format number by number, and no one else has a say in between: so that the outcome
//! is the same to the byte, and only arrives sooner.

use std::any::TypeId;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use bytemuck::Pod;
use postcard::{Error, Result};
use serde::de::{DeserializeOwned, Visitor};

mod visitor;

/// The bytes of `items`, and how many items they are, if that is a vector or a slice of such numbers.
#[inline]
pub(super) fn as_bytes<I>(items: &I) -> Option<(usize, &[u8])> {
    fn of<N: Pod, I>(items: &I) -> Option<(usize, &[u8])> {
        let numbers: &[N] = if type_id::<I>() == TypeId::of::<&'static Vec<N>>() {
            // SAFETY: but for its lifetime, which does not end before that of `items`, `I` is that type.
            unsafe { *std::ptr::from_ref(items).cast::<&Vec<N>>() }
        } else if type_id::<I>() == TypeId::of::<&'static [N]>() {
            // SAFETY: as above.
            unsafe { *std::ptr::from_ref(items).cast::<&[N]>() }
        } else {
            return None;
        };
        Some((numbers.len(), bytemuck::cast_slice(numbers)))
    }
    if cfg!(target_endian = "big") {
        return None;
    }
    of::<f64, I>(items)
        .or_else(|| of::<f32, I>(items))
        .or_else(|| of::<u8, I>(items))
        .or_else(|| of::<i8, I>(items))
}

/// The identity of a type, whatever lifetimes are in it.
#[inline]
fn type_id<T>() -> TypeId {
    trait Identity {
        fn id(&self) -> TypeId
        where
            Self: 'static;
    }
    impl<T> Identity for PhantomData<T> {
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

/// Takes `length` items off the front of `bytes`, if `V` is what serde decodes a vector of such numbers with.
#[inline]
pub(super) fn take<'de, V: Visitor<'de>>(
    length: usize,
    bytes: &mut &[u8],
) -> Option<Result<V::Value>> {
    #[inline]
    fn of<'de, N: Pod + DeserializeOwned, V: Visitor<'de>>(
        length: usize,
        bytes: &mut &[u8],
    ) -> Option<Result<V::Value>> {
        // Visitors of others may have the same outcome and make it in another way.
        if type_id::<V::Value>() != TypeId::of::<Vec<N>>()
            || Some(type_id::<V>()) != visitor::of::<Vec<N>>()
        {
            return None;
        }
        let size = length.checked_mul(size_of::<N>());
        let Some(block) = size.and_then(|size| bytes.split_off(..size)) else {
            return Some(Err(Error::DeserializeUnexpectedEnd));
        };
        let numbers = ManuallyDrop::new(collect::<N>(block));
        // SAFETY: the two are one type, as has just been seen, and the vector is not dropped here as well.
        Some(Ok(unsafe { std::mem::transmute_copy::<Vec<N>, V::Value>(&numbers) }))
    }
    if cfg!(target_endian = "big") {
        return None;
    }
    of::<f64, V>(length, bytes)
        .or_else(|| of::<f32, V>(length, bytes))
        .or_else(|| of::<u8, V>(length, bytes))
        .or_else(|| of::<i8, V>(length, bytes))
}

/// The items that lie in `bytes`, which need not be aligned; what is left over is left out.
pub(crate) fn collect<N: Pod>(bytes: &[u8]) -> Vec<N> {
    let length = bytes.len() / size_of::<N>();
    let mut items = Vec::<N>::with_capacity(length);
    // SAFETY: there is room for so many items, so many are copied, and any bits are one.
    unsafe {
        let to = items.as_mut_ptr().cast::<u8>();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, length * size_of::<N>());
        items.set_len(length);
    }
    items
}
