//! The cells of a plate that are held at their initial temperature.

use ndarray::{Array2, ArrayView2, s};
use thiserror::Error;

use super::Plate;

/// The cells that keep their temperature, in addition to the sides, which always do.
///
/// With a mask the plate need not be a rectangle: the cells that are cut away are held, and the
/// remaining cells treat them as they treat a side.
///
/// # Examples
///
/// ```
/// use ndarray::array;
/// use sims::plate::{Mask, Plate};
///
/// let plate = Plate { nx: 3, ny: 2, top: 1.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let mask = Mask::new(&plate, array![[false, true, false], [false, true, false]].view())?;
/// assert_eq!(mask.held_cells(), 2);
///
/// let error = Mask::new(&plate, array![[1_u8, 0], [0, 1]].view()).unwrap_err();
/// assert_eq!(error.to_string(), "a mask of shape (2, 2) fits no plate of 3 x 2 cells; it takes (2, 3), or (4, 5) with the sides");
/// # Ok::<(), sims::plate::MaskError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    held: Array2<u8>,
    cells: usize,
}

/// The reason that an array is not a mask of a plate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MaskError {
    /// The array has neither the shape of the cells nor that of the cells with their sides.
    #[error(
        "a mask of shape {found:?} fits no plate of {} x {} cells; it takes {cells:?}, or {whole:?} with the sides",
        cells.1,
        cells.0
    )]
    Shape {
        /// Rows and columns of the array.
        found: (usize, usize),
        /// Rows and columns of the cells: `(ny, nx)`.
        cells: (usize, usize),
        /// The same with the sides: `(ny + 2, nx + 2)`.
        whole: (usize, usize),
    },
}

impl Mask {
    /// Makes a mask that holds the cells whose element is not `false`, or not zero.
    ///
    /// # Shapes
    ///
    /// `held: (ny, nx)`, or `(ny + 2, nx + 2)`, where the outermost elements, those of the sides,
    /// are ignored.
    ///
    /// # Errors
    ///
    /// [`MaskError::Shape`] for any other shape.
    pub fn new<T: Copy + Default + PartialEq>(
        plate: &Plate,
        held: ArrayView2<'_, T>,
    ) -> Result<Self, MaskError> {
        let (rows, columns) = plate.shape();
        let inner = s![1..rows - 1, 1..columns - 1];
        let cells = match held.dim() {
            dim if dim == (plate.ny, plate.nx) => held,
            dim if dim == plate.shape() => held.slice_move(inner),
            found => {
                let (cells, whole) = ((plate.ny, plate.nx), plate.shape());
                return Err(MaskError::Shape { found, cells, whole });
            }
        };
        let mut held = Array2::ones((rows, columns));
        held.slice_mut(inner).assign(&cells.mapv(|cell| u8::from(cell != T::default())));
        let cells = held.slice(inner).iter().filter(|cell| **cell != 0).count();
        Ok(Self { held, cells })
    }

    /// An array that is 1 where the temperature is held, which includes the sides, and 0 elsewhere.
    ///
    /// # Shapes
    ///
    /// `(ny + 2, nx + 2)`.
    #[must_use]
    pub fn held(&self) -> ArrayView2<'_, u8> {
        self.held.view()
    }

    /// The number of held cells, not counting the sides.
    #[must_use]
    pub fn held_cells(&self) -> usize {
        self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLATE: Plate = Plate { nx: 3, ny: 2, top: 1.0, bottom: 0.0, left: 0.0, right: 0.0 };

    #[test]
    fn with_and_without_the_sides_are_the_same_mask() {
        let cells = ndarray::array![[0, 7, 0], [255_u8, 0, 0]];
        let mut whole = Array2::zeros((4, 5));
        whole.slice_mut(s![1..3, 1..4]).assign(&cells);
        let mask = Mask::new(&PLATE, cells.view()).unwrap();
        assert_eq!(mask, Mask::new(&PLATE, whole.view()).unwrap());
        assert_eq!((mask.held_cells(), mask.held()[[1, 2]], mask.held()[[0, 2]]), (2, 1, 1));
    }

    #[test]
    fn a_mask_that_is_turned_is_told_with_both_shapes() {
        let error = Mask::new(&PLATE, Array2::<bool>::default((3, 2)).view()).unwrap_err();
        let expected = MaskError::Shape { found: (3, 2), cells: (2, 3), whole: (4, 5) };
        assert_eq!(error, expected);
    }
}
