//! What a shared array can hold.

use bytemuck::Pod;

/// Plain data: what a shared array can hold.
///
/// This is all of [`Pod`]: the number types, arrays of them, and structs that derive it. For that a
/// struct has a fixed layout and no padding.
///
/// # Safety
///
/// Any bytes are a value of the type, and all of its bytes are data: no padding, no pointer, nothing that means
/// anything to one process alone, nothing that changes behind a shared reference. Other processes write such
/// bytes, and they are read as values without being looked at.
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
/// A `bool` or an `enum` is not plain data, since not all bytes are one:
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

// SAFETY: this is what `Pod` promises.
unsafe impl<T: Pod + Send + Sync> Element for T {}
