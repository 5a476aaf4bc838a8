//! The plate, the array that holds its temperatures, and the convergence rate of Jacobi's sweeps.
//!
//! The array is (ny + 2, nx + 2), row-major. Rows 1 to ny and columns 1 to nx are cells, and the
//! sides lie around them: row 0 is the bottom, row ny + 1 the top, column 0 the left side, and
//! column nx + 1 the right side. No equation uses the corners; they hold the mean of their two
//! sides, for pictures.
//!
//! A sweep multiplies the error by a symmetric matrix with spectral radius
//!
//! rho = (cos(pi / (nx + 1)) + cos(pi / (ny + 1))) / 2,
//!
//! so an update u = T_m - T_(m-1) leaves an error of at most ||u||_2 rho / (1 - rho), in the 2-norm
//! and hence in every cell.
//!
//! Source: Saad, Iterative Methods for Sparse Linear Systems, 2nd ed. (2003), section 4.2.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayViewMut2, s};
use serde::{Deserialize, Serialize};

/// A plate of `nx` by `ny` cells, both at least 1, between four sides of fixed temperature.
///
/// # Units
///
/// Temperatures may have any unit, because sweeps are linear.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plate {
    /// Cells from left to right.
    pub nx: usize,
    /// Cells from bottom to top.
    pub ny: usize,
    /// Temperature of row ny + 1.
    pub top: f64,
    /// Temperature of row 0.
    pub bottom: f64,
    /// Temperature of column 0.
    pub left: f64,
    /// Temperature of column nx + 1.
    pub right: f64,
}

impl Plate {
    /// The rows and columns of the array that holds the temperatures: (ny + 2, nx + 2).
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        (self.ny + 2, self.nx + 2)
    }

    /// An array with the sides at their temperatures and all cells at zero.
    ///
    /// # Shapes
    ///
    /// The result is `(ny + 2, nx + 2)`, row-major.
    ///
    /// # Examples
    ///
    /// ```
    /// use ndarray::array;
    /// use sims::plate::Plate;
    ///
    /// let plate = Plate { nx: 2, ny: 1, top: 4.0, bottom: 0.0, left: 2.0, right: 1.0 };
    /// assert_eq!(
    ///     plate.initial(),
    ///     array![[1.0, 0.0, 0.0, 0.5], [2.0, 0.0, 0.0, 1.0], [3.0, 4.0, 4.0, 2.5]],
    /// );
    /// ```
    #[must_use]
    pub fn initial(&self) -> Array2<f64> {
        let mut temperatures = Array2::zeros(self.shape());
        self.fill_sides(temperatures.view_mut());
        temperatures
    }

    /// Writes the sides, corners included, into an existing array; its interior is left unchanged.
    ///
    /// # Shapes
    ///
    /// `temperatures: (ny + 2, nx + 2)`.
    ///
    /// # Panics
    ///
    /// If `temperatures` has another shape.
    pub fn fill_sides(&self, mut temperatures: ArrayViewMut2<f64>) {
        assert_eq!(temperatures.dim(), self.shape(), "the array does not fit the plate");
        let (top, right) = (self.ny + 1, self.nx + 1);
        temperatures.row_mut(0).fill(self.bottom);
        temperatures.row_mut(top).fill(self.top);
        temperatures.slice_mut(s![1..top, 0]).fill(self.left);
        temperatures.slice_mut(s![1..top, right]).fill(self.right);
        for (j, level) in [(0, self.bottom), (top, self.top)] {
            for (i, side) in [(0, self.left), (right, self.right)] {
                temperatures[[j, i]] = 0.5 * (level + side);
            }
        }
    }

    /// The distance between neighbouring cells if the shorter side has length 1.
    #[must_use]
    pub fn spacing(&self) -> f64 {
        1.0 / (self.nx.min(self.ny) as f64 + 1.0)
    }

    /// The factor rho by which a Jacobi sweep reduces the slowest component of the error.
    #[must_use]
    pub fn spectral_radius(&self) -> f64 {
        1.0 - self.spectral_gap()
    }

    /// rho / (1 - rho): a bound on the error of every cell is the 2-norm of an update times this
    /// factor.
    ///
    /// # Examples
    ///
    /// ```
    /// use sims::plate::Plate;
    ///
    /// // A plate of one cell is exact after one sweep, however much the sweep changed.
    /// let cell = Plate { nx: 1, ny: 1, top: 9.0, bottom: 0.0, left: 0.0, right: 0.0 };
    /// assert!(cell.error_factor() < 1e-15);
    /// ```
    #[must_use]
    pub fn error_factor(&self) -> f64 {
        self.spectral_radius() / self.spectral_gap()
    }

    /// 1 - rho, computed without cancellation: 1 - cos x = 2 sin^2(x / 2).
    fn spectral_gap(&self) -> f64 {
        let part = |n: usize| (0.5 * PI / (n as f64 + 1.0)).sin().powi(2);
        part(self.nx) + part(self.ny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plate(nx: usize, ny: usize) -> Plate {
        Plate { nx, ny, top: 1.0, bottom: 0.0, left: 0.0, right: 0.0 }
    }

    #[test]
    fn the_spectral_radius_is_the_mean_of_two_cosines() {
        for (nx, ny) in [(1, 1), (1, 9), (62, 62), (255, 100)] {
            let cosine = |n: usize| (PI / (n as f64 + 1.0)).cos();
            let rho = 0.5 * (cosine(nx) + cosine(ny));
            assert!((plate(nx, ny).spectral_radius() - rho).abs() < 1e-15);
        }
    }

    #[test]
    fn the_error_factor_of_a_huge_plate_keeps_its_digits() {
        // rho / (1 - rho) -> 2 ((n + 1) / pi)^2 - 1/2 + ... with n x n cells.
        let n = 100_000_000_usize;
        let leading = 2.0 * ((n as f64 + 1.0) / PI).powi(2);
        assert!((plate(n, n).error_factor() / leading - 1.0).abs() < 1e-14);
    }

    #[test]
    #[should_panic(expected = "the array does not fit the plate")]
    fn a_plate_does_not_fill_an_array_of_another_shape() {
        plate(3, 4).fill_sides(Array2::zeros((5, 6)).view_mut());
    }
}
