//! A band whose rows the task overwrites, so that nothing is kept of them for a retry.

use std::fmt;
use std::ops::Range;

use ndarray::{ArrayBase, ArrayViewMut, Data, Dimension};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Band, Element};

/// A band whose rows a task overwrites, made by [`Band::overwrite`].
///
/// A task that may be started again needs the rows of a [`Band`] as they were, which costs a copy of them
/// before it begins. Rows that the task writes without reading them need not be kept. The task gives the
/// rows back as an `Overwrite` or, where that is easier to write, as a `Band`.
///
/// The rows hold arbitrary values when the task begins: those of before, or those of an attempt that has
/// failed. A task whose result must not depend on that writes each element before it reads it; with
/// [`fill_with`](Self::fill_with) and [`assign`](Self::assign) it cannot do otherwise.
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
    /// Gives up the values of the rows, so that nothing is kept of them for a task that is started again.
    pub fn overwrite(self) -> Overwrite<T, D> {
        Overwrite(self)
    }
}

impl<T: Element, D: Dimension> Overwrite<T, D> {
    /// Which rows of the array these are.
    pub fn rows(&self) -> Range<usize> {
        self.0.rows()
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// A mutable view of the rows, which hold arbitrary values until they are written.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.0.view_mut()
    }

    /// Writes each element as `f` says, which is given its place among these rows, and gives the band.
    pub fn fill_with(mut self, mut f: impl FnMut(D::Pattern) -> T) -> Band<T, D> {
        for (place, element) in self.view_mut().indexed_iter_mut() {
            *element = f(place);
        }
        self.0
    }

    /// Writes a copy of `values`, and gives the band.
    ///
    /// # Panics
    ///
    /// If the shape is another.
    pub fn assign<S: Data<Elem = T>>(mut self, values: &ArrayBase<S, D>) -> Band<T, D> {
        assert_eq!(values.shape(), self.shape(), "the values do not fit the rows");
        self.view_mut().assign(values);
        self.0
    }

    /// The rows as a band. What has not been written holds arbitrary values.
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
