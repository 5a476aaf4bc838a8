//! [`ArrayRef`]: a handle by which many tasks read one array.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ndarray::{ArrayView, Dimension, RemoveAxis};

use crate::lent::Lent;
use crate::segment::Mapping;
use crate::{Element, SharedArray};

/// A read-only handle of a frozen array, or of some of its rows.
///
/// A clone is cheap. Each clone can be sent to a task, also in another process, as a few bytes.
///
/// # Examples
///
/// ```
/// use farm_shm::SharedArray;
///
/// let whole = SharedArray::<f64, _>::zeros((4, 2))?.freeze();
/// let part = whole.clone().slice(1..3);
/// assert_eq!(part.view().dim(), (2, 2));
/// let whole = whole.thaw().unwrap_err(); // `part` still reads
/// drop(part);
/// let array = whole.thaw().unwrap();
/// assert_eq!(array.shape(), [4, 2]);
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
///
/// A frozen array cannot be written to. A thawed array can:
///
/// ```
/// # use farm_shm::SharedArray;
/// let frozen = SharedArray::<f64, _>::zeros(4)?.freeze();
/// let mut array = frozen.thaw().unwrap();
/// array.view_mut().fill(1.0);
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
///
/// ```compile_fail,E0599
/// # use farm_shm::SharedArray;
/// let frozen = SharedArray::<f64, _>::zeros(4)?.freeze();
/// let mut array = frozen;
/// array.view_mut().fill(1.0);
/// # Ok::<(), farm_shm::ShmError>(())
/// ```
pub struct ArrayRef<T: Element, D: Dimension> {
    pub(crate) hold: Hold<T, D>,
    /// The first row of this reference, counted in the whole array.
    pub(crate) start: usize,
    /// The shape of the rows of this reference.
    pub(crate) shape: D,
}

/// The value that keeps the array frozen.
pub(crate) enum Hold<T: Element, D: Dimension> {
    /// In the master: the array, shared by all its references.
    InMaster(Arc<SharedArray<T, D>>),
    /// In a worker: the rows that the master has lent. The master keeps a reference until the task
    /// is done.
    Lent(Arc<Lent>),
}

impl<T: Element, D: Dimension> ArrayRef<T, D> {
    pub(crate) fn of(array: SharedArray<T, D>) -> Self {
        Self { shape: array.shape.clone(), start: 0, hold: Hold::InMaster(Arc::new(array)) }
    }

    /// Returns the length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.shape.slice()
    }

    /// Returns a view of the rows.
    pub fn view(&self) -> ArrayView<'_, T, D> {
        let row: usize = self.shape.slice().iter().skip(1).product();
        // SAFETY: `start` and `shape` were cut from the shape of the array by `slice`, or were
        // checked against the mapping when the handle was decoded. The array cannot be thawed while
        // a reference exists in the master, and the master keeps one for each task that has one. So
        // nothing writes to the array.
        unsafe { self.mapping().view(self.start * row, self.shape.clone()) }
    }

    /// Makes the array writable again.
    ///
    /// # Errors
    ///
    /// Hands the reference back while other references exist, in this process or with a task. In a
    /// worker it always does.
    #[allow(clippy::result_large_err, reason = "it hands the reference back")]
    pub fn thaw(self) -> Result<SharedArray<T, D>, Self> {
        let Self { hold, start, shape } = self;
        match hold {
            Hold::InMaster(array) => Arc::try_unwrap(array).map_err(|array| Self {
                hold: Hold::InMaster(array),
                start,
                shape,
            }),
            hold @ Hold::Lent(_) => Err(Self { hold, start, shape }),
        }
    }

    /// Sets the rows of this reference to `rows` of the whole array, which the caller has checked.
    pub(crate) fn narrowed(mut self, rows: Range<usize>) -> Self {
        if let Some(n) = self.shape.slice_mut().first_mut() {
            *n = rows.len();
        }
        self.start = rows.start;
        self
    }

    pub(crate) fn mapping(&self) -> &Mapping {
        match &self.hold {
            Hold::InMaster(array) => &array.mapping,
            Hold::Lent(lent) => &lent.mapping,
        }
    }
}

impl<T: Element, D: Dimension + RemoveAxis> ArrayRef<T, D> {
    /// Narrows the reference to some of its rows.
    ///
    /// # Panics
    ///
    /// If the range is backward or ends beyond the rows of this reference.
    #[must_use]
    pub fn slice(self, rows: Range<usize>) -> Self {
        let (start, n) = (self.start, self.shape.slice().first().copied().unwrap_or(0));
        assert!(rows.start <= rows.end && rows.end <= n, "rows {rows:?} of {n}");
        self.narrowed(start + rows.start..start + rows.end)
    }
}

impl<T: Element, D: Dimension> Clone for ArrayRef<T, D> {
    fn clone(&self) -> Self {
        let hold = match &self.hold {
            Hold::InMaster(array) => Hold::InMaster(array.clone()),
            Hold::Lent(lent) => Hold::Lent(lent.clone()),
        };
        Self { hold, start: self.start, shape: self.shape.clone() }
    }
}

impl<T: Element, D: Dimension> fmt::Debug for ArrayRef<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ArrayRef({:?} from row {} of {})",
            self.shape(),
            self.start,
            self.mapping().name()
        )
    }
}
