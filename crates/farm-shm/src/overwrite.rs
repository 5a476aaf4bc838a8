//! [`Overwrite`]: a band of which nothing is kept for a retry.

use std::fmt;
use std::ops::Range;

use ndarray::{ArrayBase, ArrayViewMut, Data, Dimension};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Band, Element};

/// A band whose rows a task overwrites. [`Band::overwrite`] makes it.
///
/// If a task may be started again, the old rows of its bands are kept, which costs a copy before
/// the task begins. For rows that the task writes without reading them, this copy is not needed,
/// and an `Overwrite` does without it. The task returns the rows as an `Overwrite` or as a `Band`,
/// whichever is easier to write.
///
/// When the task begins, the rows hold arbitrary values: those that they had before, or those that
/// a failed attempt has left. A task whose result must not depend on them writes each element
/// before it reads it. [`fill_with`](Self::fill_with) and [`assign`](Self::assign) guarantee this.
///
/// # Examples
///
/// ```
/// use farm_core::prelude::*;
/// use farm_shm::{Band, Overwrite, SharedArray};
/// use ndarray::Ix1;
///
/// fn squares(rows: Overwrite<u64, Ix1>) -> Band<u64, Ix1> {
///     let first = rows.rows().start;
///     rows.fill_with(|i| ((first + i) as u64).pow(2))
/// }
///
/// # fn demo(pool: &impl Farm) -> Result<(), Box<dyn std::error::Error>> {
/// let (split, bands) = SharedArray::<u64, _>::zeros(6)?.split(pool.distribute(6))?;
/// let array = split.join(pool.map(squares, bands.into_iter().map(Band::overwrite))?)?;
/// assert_eq!(array.view().to_vec(), [0, 1, 4, 9, 16, 25]);
/// # Ok(())
/// # }
/// # demo(&farm_mono::Pool::new()?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Overwrite<T: Element, D: Dimension>(Band<T, D>);

impl<T: Element, D: Dimension> Band<T, D> {
    /// Gives up the values of the rows, so that they are not kept for a task that may be started
    /// again.
    pub fn overwrite(self) -> Overwrite<T, D> {
        Overwrite(self)
    }
}

impl<T: Element, D: Dimension> Overwrite<T, D> {
    /// Returns which rows of the array these are.
    pub fn rows(&self) -> Range<usize> {
        self.0.rows()
    }

    /// Returns the length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// Returns a mutable view of the rows, which hold arbitrary values until they are written.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.0.view_mut()
    }

    /// Sets each element to the value that `f` returns for its index among these rows, and returns
    /// the rows as a band.
    pub fn fill_with(mut self, mut f: impl FnMut(D::Pattern) -> T) -> Band<T, D> {
        for (place, element) in self.view_mut().indexed_iter_mut() {
            *element = f(place);
        }
        self.0
    }

    /// Copies `values` into the rows, and returns the rows as a band.
    ///
    /// # Panics
    ///
    /// If `values` does not have the shape of the rows.
    pub fn assign<S: Data<Elem = T>>(mut self, values: &ArrayBase<S, D>) -> Band<T, D> {
        assert_eq!(values.shape(), self.shape(), "the values do not fit the rows");
        self.view_mut().assign(values);
        self.0
    }

    /// Returns the rows as a band. Elements that were not written hold arbitrary values.
    pub fn into_band(self) -> Band<T, D> {
        self.0
    }
}

impl<T: Element, D: Dimension + 'static> Serialize for Overwrite<T, D> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.encode(false, serializer)
    }
}

impl<'de, T: Element, D: Dimension + 'static> Deserialize<'de> for Overwrite<T, D> {
    fn deserialize<De: Deserializer<'de>>(deserializer: De) -> Result<Self, De::Error> {
        let band = Band::deserialize(deserializer)?;
        band.get_at_hand();
        Ok(Self(band))
    }
}

impl<T: Element, D: Dimension> fmt::Debug for Overwrite<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overwrite({:?})", self.0)
    }
}
