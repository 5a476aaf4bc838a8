//! The only way that a task writes to a shared array.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use crate::Element;
use crate::lent::Lent;
use crate::segment::Mapping;
use crate::split::{Lease, Parts};

/// Some rows of a split array, and the right to write to them.
///
/// No other band has these rows, and this one cannot be had twice:
///
/// ```
/// # use farm_shm::{Band, SharedArray};
/// let (split, bands) = SharedArray::<f64, _>::zeros(4)?.split([0..2, 2..4])?;
/// let (one, other) = (&bands[0], &bands[1]);
/// assert_eq!((one.rows(), other.rows()), (0..2, 2..4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail,E0599
/// # use farm_shm::{Band, SharedArray};
/// let (split, bands) = SharedArray::<f64, _>::zeros(4)?.split([0..2, 2..4])?;
/// let (one, other) = (bands[0].clone(), &bands[1]);
/// assert_eq!((one.rows(), other.rows()), (0..2, 2..4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A task that is given a band returns it; sending it gives it up:
///
/// ```
/// # use farm_core::{Farm, TaskError};
/// # use farm_shm::Band;
/// # use ndarray::Ix1;
/// # fn same(band: Band<f64, Ix1>) -> Band<f64, Ix1> { band }
/// # fn demo(pool: &impl Farm, band: Band<f64, Ix1>) -> Result<(), TaskError> {
/// let band = pool.apply(same, band)?;
/// band.view();
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # use farm_core::{Farm, TaskError};
/// # use farm_shm::Band;
/// # use ndarray::Ix1;
/// # fn same(band: Band<f64, Ix1>) -> Band<f64, Ix1> { band }
/// # fn demo(pool: &impl Farm, band: Band<f64, Ix1>) -> Result<(), TaskError> {
/// let moved = pool.apply(same, band)?;
/// band.view();
/// # Ok(())
/// # }
/// ```
pub struct Band<T: Element, D: Dimension> {
    pub(crate) right: Right,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) rows: Range<usize>,
    /// The shape of the rows.
    pub(crate) shape: D,
    element: std::marker::PhantomData<T>,
}

/// Where the right to write is from.
pub(crate) enum Right {
    /// In the master. When the band is encoded, its task shares the lease; the farm sees to it that the band is gone
    /// before the task begins.
    InMaster(Arc<Lease>),
    /// In a worker: lent by the master.
    Lent(Arc<Lent>),
}

impl<T: Element, D: Dimension> Band<T, D> {
    pub(crate) fn home(lease: Arc<Lease>, mapping: Arc<Mapping>, whole: &D) -> Self {
        let rows = lease.rows();
        Self::new(Right::InMaster(lease), mapping, rows, whole)
    }

    pub(crate) fn new(right: Right, mapping: Arc<Mapping>, rows: Range<usize>, whole: &D) -> Self {
        let mut shape = whole.clone();
        shape.slice_mut()[0] = rows.len();
        Self { right, mapping, rows, shape, element: std::marker::PhantomData }
    }

    /// Which rows of the array these are.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.shape.slice()
    }

    /// A view of the rows.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        // SAFETY: the rows were checked against the array when it was split, or against the mapping when
        // the handle arrived. This band alone has the right to them, in any process: there is one lease for
        // them, a task that is given it is not sent before this band is gone, and a worker is lent it by its
        // master. The borrow of `self` keeps `view_mut` away.
        unsafe { self.mapping.view(self.first(), self.shape.clone()) }
    }

    /// A mutable view of the rows.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        // SAFETY: as in `view`; the mutable borrow of `self` keeps all other views away, and bands are
        // mapped for writing.
        unsafe { self.mapping.view_mut(self.first(), self.shape.clone()) }
    }

    /// In a worker: gets the pages of all rows, which a task is going to overwrite.
    pub(crate) fn get_at_hand(&self) {
        let first = self.first() * size_of::<T>();
        self.mapping.get_at_hand(&(first..first + self.shape.size() * size_of::<T>()));
    }

    pub(crate) fn is_of(&self, parts: &Arc<Parts>) -> bool {
        match &self.right {
            Right::InMaster(lease) => parts.own(lease),
            Right::Lent(_) => false,
        }
    }

    fn first(&self) -> usize {
        self.rows.start * self.shape.slice().iter().skip(1).product::<usize>()
    }
}

impl<T: Element, D: Dimension> fmt::Debug for Band<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Band(rows {:?} of {})", self.rows, self.mapping.name())
    }
}
