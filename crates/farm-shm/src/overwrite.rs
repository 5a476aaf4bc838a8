//! Writing without reading.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

use ndarray::{ArrayBase, ArrayViewMut, Data, Dimension};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Band, Element};

/// A band whose old rows the task never sees, made by [`Band::overwrite`].
///
/// A task that may be started again needs the rows of a [`Band`] as they were, which costs a copy of them before it
/// begins. What is only written need not be kept. The task gives the rows back as an `Overwrite` or, where that is
/// easier to write, as a `Band`.
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
///
/// What is in the rows cannot be read, only written:
///
/// ```
/// # fn demo(mut rows: farm_shm::Overwrite<f64, ndarray::Ix1>) {
/// rows.view_mut()[0].write(1.0);
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # fn demo(mut rows: farm_shm::Overwrite<f64, ndarray::Ix1>) {
/// let x: f64 = rows.view_mut()[0];
/// # }
/// ```
pub struct Overwrite<T: Element, D: Dimension>(Band<T, D>);

impl<T: Element, D: Dimension> Band<T, D> {
    /// Gives up reading the rows, so that nothing has to be kept of them for a task that is started again.
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

    /// A view of the rows that can be written to and not read.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, MaybeUninit<T>, D> {
        self.0.view_uninit()
    }

    /// Writes each element as `f` says, which is given its place among these rows, and gives the band.
    pub fn fill_with(mut self, mut f: impl FnMut(D::Pattern) -> T) -> Band<T, D> {
        for (place, element) in self.view_mut().indexed_iter_mut() {
            element.write(f(place));
        }
        self.into_band()
    }

    /// Writes a copy of `values`, and gives the band.
    ///
    /// # Panics
    ///
    /// If the shape is another.
    pub fn assign<S: Data<Elem = T>>(mut self, values: &ArrayBase<S, D>) -> Band<T, D> {
        assert_eq!(values.shape(), self.shape(), "the values do not fit the rows");
        values.assign_to(self.view_mut());
        self.into_band()
    }

    /// The rows as a band.
    ///
    /// What has not been written holds arbitrary values. Writing before reading is the task's to see to: values
    /// that were there before may be those of an attempt that has failed, and the results then depend on that.
    pub fn into_band(self) -> Band<T, D> {
        self.0.settled()
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
