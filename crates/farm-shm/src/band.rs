//! [`Band`]: the handle by which a task writes to a shared array.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView, ArrayViewMut, Dimension};

use crate::Element;
use crate::lent::Lent;
use crate::segment::Mapping;
use crate::split::{Lease, Parts};

/// Some rows of a split array, with the right to read and write them.
///
/// No other band has these rows, and a band cannot be cloned:
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
/// A task that is given a band returns it. The caller gives the band up by sending it:
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
    /// The shape of the rows of this band.
    pub(crate) shape: D,
    element: std::marker::PhantomData<T>,
}

/// Where the right to write comes from.
pub(crate) enum Right {
    /// In the master. When the band is encoded, its task gets a reference to the lease too. The
    /// farm sends the task only after the band was dropped.
    InMaster(Arc<Lease>),
    /// In a worker, to which the master has lent the rows.
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

    /// Returns which rows of the array these are.
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Returns the length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.shape.slice()
    }

    /// Returns a view of the rows.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        // SAFETY: the rows were checked against the array when it was split, or against the mapping
        // when the handle was decoded. This band alone has the right to them, in any process: there
        // is one lease for these rows, a task with this lease is sent only after the band in the
        // master was dropped, and the worker's band is what the master has lent to that task. The
        // borrow of `self` excludes `view_mut`.
        unsafe { self.mapping.view(self.first(), self.shape.clone()) }
    }

    /// Returns a mutable view of the rows.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        // SAFETY: as in `view`. The mutable borrow of `self` excludes all other views, and segments
        // are mapped writable for bands.
        unsafe { self.mapping.view_mut(self.first(), self.shape.clone()) }
    }

    /// In a worker: asks the kernel for the pages of all rows, which a task is going to overwrite.
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
