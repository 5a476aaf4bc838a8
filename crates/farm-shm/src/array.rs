//! [`SharedArray`]: an array with one owner, which may read and write it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayBase, ArrayView, ArrayViewMut, Data, Dimension, IntoDimension};

use crate::description::dtype;
use crate::segment::{Mapping, bytes_of};
use crate::split::Bands;
use crate::{ArrayRef, Description, Element, ShmError, Split, SplitError};

/// An array in shared memory, in row-major order, with one owner.
///
/// Dropping the array removes its shared memory.
///
/// # Examples
///
/// ```
/// use farm_shm::SharedArray;
///
/// let mut plate = SharedArray::<f64, _>::zeros((3, 4))?;
/// plate.view_mut().row_mut(2).fill(100.0);
/// assert_eq!(plate.view()[[2, 1]], 100.0);
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
pub struct SharedArray<T: Element, D: Dimension> {
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) shape: D,
    pub(crate) element: std::marker::PhantomData<T>,
}

impl<T: Element, D: Dimension> SharedArray<T, D> {
    /// Makes an array in which all bytes of all elements are zero.
    ///
    /// # Errors
    ///
    /// [`ShmError::Full`] if shared memory has no room for the array; the error says how much is
    /// free.
    pub fn zeros(shape: impl IntoDimension<Dim = D>) -> Result<Self, ShmError> {
        let shape = shape.into_dimension();
        let bytes = bytes_of::<T>(shape.slice()).ok_or_else(|| ShmError::TooLarge {
            shape: shape.slice().to_vec(),
            element: size_of::<T>(),
        })?;
        Ok(Self::new(Mapping::create(bytes)?, shape))
    }

    /// Makes a copy of `array`, in row-major order.
    ///
    /// # Errors
    ///
    /// As for [`zeros`](Self::zeros).
    pub fn from_array<S: Data<Elem = T>>(array: &ArrayBase<S, D>) -> Result<Self, ShmError> {
        let mut shared = Self::zeros(array.raw_dim())?;
        shared.view_mut().assign(array);
        Ok(shared)
    }

    /// Makes an array of the elements that `f` returns. It is called with the index of each
    /// element, in row-major order.
    ///
    /// # Errors
    ///
    /// As for [`zeros`](Self::zeros).
    ///
    /// # Examples
    ///
    /// ```
    /// use farm_shm::SharedArray;
    ///
    /// let table = SharedArray::from_fn((3, 4), |(i, j)| 10 * i + j)?;
    /// assert_eq!(table.view()[[2, 1]], 21);
    /// # Ok::<(), farm_shm::ShmError>(())
    /// ```
    pub fn from_fn(
        shape: impl IntoDimension<Dim = D>,
        mut f: impl FnMut(D::Pattern) -> T,
    ) -> Result<Self, ShmError> {
        let mut shared = Self::zeros(shape)?;
        for (place, element) in shared.view_mut().indexed_iter_mut() {
            *element = f(place);
        }
        Ok(shared)
    }

    pub(crate) fn new(mapping: Arc<Mapping>, shape: D) -> Self {
        Self { mapping, shape, element: std::marker::PhantomData }
    }

    /// Returns the length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.shape.slice()
    }

    /// Returns where the array is and what it holds, so that other programs can read it.
    pub fn describe(&self) -> Description {
        let (path, shape) = (self.mapping.name().path(), self.shape().to_vec());
        Description { path, shape, dtype: dtype::<T>() }
    }

    /// Returns a view of the whole array.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        // SAFETY: the mapping was made for this shape. This is the only handle of the array, so no
        // band and no reference exists in any process, and the borrow of `self` excludes
        // `view_mut`.
        unsafe { self.mapping.view(0, self.shape.clone()) }
    }

    /// Returns a mutable view of the whole array.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        // SAFETY: as in `view`; the mutable borrow of `self` excludes all other views.
        unsafe { self.mapping.view_mut(0, self.shape.clone()) }
    }

    /// Gives up the right to write. The reference can then be cloned for any number of readers.
    pub fn freeze(self) -> ArrayRef<T, D> {
        ArrayRef::of(self)
    }

    /// Splits the array along its first axis into bands. Each band can be sent to one task, which
    /// may write to its rows.
    ///
    /// Rows that are in no band keep their values, and cannot be accessed until the split is joined
    /// or recovered.
    ///
    /// # Errors
    ///
    /// Hands the array back if a range is backward, ends beyond the last row, or overlaps another,
    /// or if the array has no axes.
    #[allow(clippy::result_large_err, reason = "it hands the array back")]
    pub fn split(
        self,
        ranges: impl IntoIterator<Item = Range<usize>>,
    ) -> Result<Bands<T, D>, SplitError<T, D>> {
        Split::cut(self, ranges.into_iter().collect())
    }
}

impl<T: Element, D: Dimension> fmt::Debug for SharedArray<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedArray({:?} in {})", self.shape(), self.mapping.name())
    }
}
