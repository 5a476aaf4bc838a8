//! Jacobi sweeps on a farm: one band of rows per worker.
//!
//! Two arrays take turns. A sweep reads the frozen one and writes the other in bands, so nobody reads
//! what somebody writes. The farm carries handles and one [`RowUpdate`] per row, never the temperatures.

use farm_core::Farm;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray};
use ndarray::{ArrayView2, Ix2};

use super::{Plate, RowUpdate, Update, laplacian, norms};
use crate::SimError;

/// The temperatures of a plate, and room for those of the next sweep.
///
/// # Examples
///
/// ```
/// use sims::plate::{Jacobi, Plate};
///
/// let farm = farm_mono::Pool::new()?;
/// let plate = Plate { nx: 30, ny: 20, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let (jacobi, update) = Jacobi::new(&plate)?.sweep(&farm)?;
/// assert_eq!(update.linf, 25.0);
/// assert_eq!(jacobi.temperatures()[[20, 1]], 25.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Jacobi {
    now: SharedArray<f64, Ix2>,
    next: SharedArray<f64, Ix2>,
}

impl Jacobi {
    /// A plate at its start: see [`Plate::initial`].
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the two arrays do not fit into shared memory.
    pub fn new(plate: &Plate) -> Result<Self, SimError> {
        let mut now = SharedArray::zeros(plate.shape())?;
        let mut next = SharedArray::zeros(plate.shape())?;
        plate.fill_sides(now.view_mut());
        plate.fill_sides(next.view_mut());
        Ok(Self { now, next })
    }

    /// Sweeps all rows once, and tells how much that has changed.
    ///
    /// # Errors
    ///
    /// The first error of a task. The temperatures are then lost.
    pub fn sweep(self, farm: &impl Farm) -> Result<(Self, Update), SimError> {
        let rows = self.now.shape()[0] - 2;
        let ranges: Vec<_> =
            farm.distribute(rows).into_iter().map(|r| r.start + 1..r.end + 1).collect();
        let old = self.now.freeze();
        let (split, bands) = self.next.split(ranges).map_err(|_| SimError::Failed)?;
        let tasks = bands.into_iter().map(|band| {
            let rows = band.rows();
            (old.clone().slice(rows.start - 1..rows.end + 1), band.overwrite())
        });
        let (bands, updates): (Vec<_>, Vec<_>) = farm.map(sweep_band, tasks)?.into_iter().unzip();
        let new = split.join(bands).map_err(|_| SimError::Failed)?;
        let old = old.thaw().map_err(|_| SimError::Failed)?;
        Ok((Self { now: new, next: old }, norms(updates.into_iter().flatten())))
    }

    /// The temperatures, sides included, as [`Plate::shape`].
    pub fn temperatures(&self) -> ArrayView2<'_, f64> {
        self.now.view()
    }
}

/// The task: the rows of `new`, from those and one more on either side in `old`.
fn sweep_band(
    (old, new): (ArrayRef<f64, Ix2>, Overwrite<f64, Ix2>),
) -> (Band<f64, Ix2>, Vec<RowUpdate>) {
    let mut new = new.into_band();
    let updates = laplacian(old.view(), new.view_mut());
    (new, updates)
}
