//! [`Element`]: the types that a shared array can hold.

use bytemuck::Pod;

/// A type of plain data, of which a shared array can be made.
///
/// All [`Pod`] types that are `Send` and `Sync` implement it: the number types, arrays of them, and
/// structs that derive [`Pod`]. Such a struct has a fixed layout and no padding.
///
/// # Safety
///
/// Every pattern of bytes is a value of the type, and all bytes of a value are data: no padding, no
/// pointers, nothing whose meaning is confined to one process, and nothing that can change behind a
/// shared reference. Other processes write these bytes, and this crate reads them as values without
/// a check.
///
/// # Examples
///
/// ```
/// use farm_shm::SharedArray;
/// use farm_shm::bytemuck::{Pod, Zeroable};
///
/// #[derive(Clone, Copy, Pod, Zeroable)]
/// #[bytemuck(crate = "farm_shm::bytemuck")]
/// #[repr(C)]
/// struct Particle {
///     position: [f64; 3],
///     mass: f64,
/// }
///
/// let mut cloud = SharedArray::<Particle, _>::zeros(1000)?;
/// cloud.view_mut()[17].mass = 2.0;
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
///
/// A `bool` or an `enum` is not plain data, because some bytes are not a value of it:
///
/// ```compile_fail,E0277
/// farm_shm::SharedArray::<bool, _>::zeros(1000)?;
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
///
/// ```
/// farm_shm::SharedArray::<u8, _>::zeros(1000)?;
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
pub unsafe trait Element: Pod + Send + Sync {}

// SAFETY: `Pod` has the same requirements.
unsafe impl<T: Pod + Send + Sync> Element for T {}
