//! A bound on the true error of any temperatures, whatever method they come from: how far the worst
//! cell is from the steady state of the five-point scheme.
//!
//! Let A u = 4 u - (sum of the four neighbours) in the free cells. Let T be the temperatures, T*
//! the steady state and e = T* - T. Then A e = r with r = -A T, which is computed as if in twice
//! the digits. A few cycles of [`multigrid`](super::multigrid) give a z with A z close to r, and
//!
//! max|e| <= max|z| + max|A^-1| max|r - A z| <= max|z| + k max|r - A z|,
//!
//! k = (min(nx, ny) + 1)^2 / 8.
//!
//! The factor k follows from the maximum principle. Let N = min(nx, ny) + 1 and w = d (N - d) / 2,
//! d being the distance from one of the two long sides. On a plate without a mask, A w = 1 in all
//! free cells, and w is at most N^2 / 8. With a mask A w is at least 1, because neighbours that are
//! held count as 0. By the maximum principle, every v that is 0 in the other cells and has
//! |A v| <= m in the free ones satisfies |v| <= m w.
//!
//! Since max|z| - k max|r - A z| <= max|e|, the bound is at most 5 / 3 of the error once
//! k max|r - A z| <= max|z| / 4. The cycles continue until that holds. The largest measured ratio
//! of bound to error, over all methods and plates from 1 x 1 to 3 x 2000 and 256 x 256, is 1.25.
//!
//! Rounding errors, with u = 2^-53, Z = max|z|, D = max|r - A z|, T the largest temperature:
//!
//! | computation | error at most |
//! |---|---|
//! | r: four sums with their errors kept, then one rounding | u abs(r) + 32 u^2 T, with abs(r) <= 8 Z + D |
//! | r - A z: six operations | u (20 Z + 2 abs(r)) |
//!
//! Together these are below u (48 Z + 4 D) + 32 u^2 T, and k times that is added to the bound. The
//! bound also includes 32 u T, for comparisons with a steady state that was computed in the usual
//! precision, where a sum of many terms loses as much. These additions hardly grow with the plate
//! as long as Z falls: multigrid brings the bound down to some 34 u T on a plate of any size.
//!
//! Source: Protter and Weinberger, Maximum Principles in Differential Equations (1967), for the
//! principle; Knuth, The Art of Computer Programming 2, 4.2.2, for sums with their errors.

use farm_core::Farm;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::multigrid::hierarchy::{Hierarchy, Solved};
use super::rows::at_full_width;
use super::{Mask, Plate};
use crate::SimError;

/// The unit roundoff: half the distance from 1 to the next larger number.
const U: f64 = 0.5 * f64::EPSILON;
/// The error of a steady state computed in the usual precision, in units of U times the largest
/// temperature.
const COMPARED: f64 = 32.0;
/// The number of cycles after which a bound is returned even if it is not tight.
const MOST_CYCLES: usize = 60;

/// A bound on the error of temperatures on a plate, with the arrays that computing it takes.
///
/// # Examples
///
/// ```
/// use sims::plate::{ErrorBound, Plate, exact};
///
/// let farm = farm_mono::Pool::new()?;
/// let plate = Plate { nx: 9, ny: 9, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
/// let bound = ErrorBound::new(&plate, None)?.of(&farm, plate.initial().view())?;
/// // All cells are still at 0. The hottest one of the solution is in the middle below the top.
/// let error = exact::temperature(&plate, 5, 9);
/// assert!(error <= bound && bound <= 2.0 * error);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ErrorBound {
    pub(crate) hierarchy: Hierarchy,
    held: Option<Mask>,
    k: f64,
}

impl ErrorBound {
    /// Allocates the arrays: about four of the plate's size, and ten with a mask.
    ///
    /// # Errors
    ///
    /// [`SimError::Memory`] if the arrays do not fit into shared memory.
    pub fn new(plate: &Plate, mask: Option<&Mask>) -> Result<Self, SimError> {
        let mask = mask.filter(|mask| mask.held_cells() > 0);
        let side = plate.nx.min(plate.ny) as f64 + 1.0;
        Ok(Self {
            hierarchy: Hierarchy::new(plate, mask)?,
            held: mask.cloned(),
            k: 0.125 * side * side,
        })
    }

    /// A bound on the largest error of any cell; NaN if a temperature is not finite.
    ///
    /// # Shapes
    ///
    /// `temperatures: (ny + 2, nx + 2)`. The temperatures of the sides and of the cells that the
    /// mask holds are taken to be exact.
    ///
    /// # Units
    ///
    /// The unit of the temperatures.
    ///
    /// # Errors
    ///
    /// The first error of a task; after that, [`SimError::Failed`].
    ///
    /// # Panics
    ///
    /// If `temperatures` has another shape.
    pub fn of(
        &mut self,
        farm: &impl Farm,
        temperatures: ArrayView2<'_, f64>,
    ) -> Result<f64, SimError> {
        let k = self.k;
        let enough = |solved: Solved| {
            let tight = k * solved.left <= 0.25 * solved.z;
            tight || solved.z == 0.0 || solved.z.is_nan() || solved.left.is_nan()
        };
        let solved = self.solve(farm, temperatures, MOST_CYCLES, enough)?;
        let Solved { z, left } = solved;
        let largest = temperatures.iter().fold(0.0_f64, |largest, t| largest.max(t.abs()));
        let rounding =
            k * U * (48.0 * z + 4.0 * left + 32.0 * U * largest) + COMPARED * U * largest;
        // The sum itself is rounded too.
        Ok((z + k * left + rounding) * (1.0 + 8.0 * U))
    }

    /// Solves A z = r, where r is the residual of the temperatures, until `enough` or for at most
    /// `cycles` cycles.
    pub(crate) fn solve(
        &mut self,
        farm: &impl Farm,
        temperatures: ArrayView2<'_, f64>,
        cycles: usize,
        enough: impl Fn(Solved) -> bool,
    ) -> Result<Solved, SimError> {
        let held = self.held.as_ref().map(Mask::held);
        let fill = |r: ArrayViewMut2<'_, f64>| residual(temperatures, held, r);
        self.hierarchy.solve(farm, fill, cycles, enough)
    }
}

/// The smallest useful tolerance where `largest` is the largest absolute temperature: below it the
/// bound consists of rounding errors alone.
///
/// # Examples
///
/// ```
/// let floor = sims::plate::floor(100.0);
/// assert!(1e-13 < floor && floor < 1e-12);
/// ```
#[must_use]
pub fn floor(largest: f64) -> f64 {
    2.0 * COMPARED * U * largest.abs()
}

/// Writes r = -A T to the interior of `r`, and 0 to the held cells; each element is rounded once
/// from almost twice the digits.
fn residual(
    temperatures: ArrayView2<'_, f64>,
    held: Option<ArrayView2<'_, u8>>,
    mut r: ArrayViewMut2<'_, f64>,
) {
    assert_eq!(temperatures.dim(), r.dim(), "the temperatures do not fit the plate");
    let temperatures = temperatures.as_standard_layout();
    let row = |j: usize| temperatures.row(j).to_slice().expect("the rows are adjacent");
    let last = r.nrows() - 1;
    for (j, r) in r.rows_mut().into_iter().enumerate().take(last).skip(1) {
        let r = r.into_slice().expect("a row has gaps");
        let (below, t, above) = (row(j - 1), row(j), row(j + 1));
        at_full_width(
            #[inline(always)]
            || {
                let n = r.len() - 2;
                let (west, t, east) = (&t[..n], &t[1..=n], &t[2..]);
                let (below, above) = (&below[1..=n], &above[1..=n]);
                for (i, r) in r[1..=n].iter_mut().enumerate() {
                    let (across, a) = two_sum(west[i], east[i]);
                    let (along, b) = two_sum(below[i], above[i]);
                    let (sum, c) = two_sum(across, along);
                    let (difference, d) = two_sum(sum, -4.0 * t[i]);
                    *r = difference + (((a + b) + c) + d);
                }
            },
        );
        if let Some(held) = held {
            for (r, held) in r.iter_mut().zip(held.row(j)) {
                *r = if *held == 0 { *r } else { 0.0 };
            }
        }
    }
}

/// The rounded sum, and the error of the rounding.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}
