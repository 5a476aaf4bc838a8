//! The plate on coarser and coarser grids, and the equation of a cell on each.
//!
//! A coarse grid has every second point of the finer one, in each direction that has more than one:
//! n points become n / 2, rounded down. If n = 2 m, the last point remains, at its distance from
//! the side. If n = 2 m + 1, the last point is dropped, and the last distance is the sum of two. So
//! all distances along an axis except the last are equal, for any n.
//!
//! With distances h and, around a point, widths w = (h_before + h_after) / 2, the equation of a
//! cell is the balance of the flow through the sides of its volume:
//!
//! w_y / h_W (u - u_W) + w_y / h_E (u - u_E) + w_x / h_S (u - u_S) + w_x / h_N (u - u_N) + c u = f,
//!
//! which is 4 u - u_W - u_E - u_S - u_N = f on the finest grid. c is 0 except near held cells.
//! Values that are interpolated from a coarse grid are set to 0 in held cells, so each free cell a
//! beside a held one adds k u_a^2 to the energy of a coarse function, where k is the weight of the
//! edge between the two cells. With u_a = sum of P_aI v_I, where the P_aI add up to at most 1, that
//! is at most the sum of k P_aI v_I^2. Therefore
//!
//! c_I = sum over free a of P_aI (c_a + sum of the k towards held cells).
//!
//! A coarse cell is held if all the cells under it are held. The energy v A v on each coarse grid
//! is then at least the energy that the function has on the finer one (its other terms are
//! integrals of convex functions by the trapezoidal rule, which grow with coarser grids). So no
//! correction goes too far, and cycles converge for every mask.
//!
//! Source: for distances and weights, Trottenberg, Oosterlee and Schüller, Multigrid (2001),
//! sections 2.8 and 5.7; for setting values in held cells to 0, Kornhuber and Yserentant,
//! Multilevel methods for elliptic problems on domains not resolved by the coarse grid, Contemp.
//! Math. 180 (1994) 49.

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};

use super::super::Plate;

/// The points of a grid along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Axis {
    /// Points between the two sides.
    pub(crate) n: usize,
    /// The distance from one point to the next, and from the first side to the first point.
    h: f64,
    /// The distance from the last point to the last side.
    last: f64,
}

impl Axis {
    fn coarser(self) -> Self {
        if self.n == 1 {
            return self;
        }
        let last = if self.n.is_multiple_of(2) { self.last } else { self.h + self.last };
        Self { n: self.n / 2, h: 2.0 * self.h, last }
    }

    fn after(&self, i: usize) -> f64 {
        if i == self.n { self.last } else { self.h }
    }

    fn width(&self, i: usize) -> f64 {
        0.5 * (self.h + self.after(i))
    }

    /// Whether the coarser axis has the same points.
    pub(crate) fn stays(&self) -> bool {
        self.n == 1
    }

    /// The weight of the last coarse point in the interpolated value of the point behind it, which
    /// exists if n is odd.
    pub(crate) fn last_share(&self) -> f64 {
        self.last / (self.h + self.last)
    }

    /// The points from which the coarse point `at` is made, with their weights.
    fn under(self, at: usize) -> impl Iterator<Item = (usize, f64)> + Clone {
        let (middle, reach) = if self.stays() { (1, 0) } else { (2 * at, 1) };
        (middle - reach..=(middle + reach).min(self.n)).map(move |i| {
            let share = match () {
                () if i == middle => 1.0,
                () if i > middle && i == self.n => self.last_share(),
                () => 0.5,
            };
            (i, share)
        })
    }
}

/// The grid of one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grid {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

/// The weights of a cell's four neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Weights {
    pub(crate) west: f64,
    pub(crate) east: f64,
    pub(crate) south: f64,
    pub(crate) north: f64,
}

impl Weights {
    /// The weights on the finest grid, and on every grid whose distances are all equal.
    pub(crate) const UNIT: Self = Self { west: 1.0, east: 1.0, south: 1.0, north: 1.0 };

    pub(crate) fn sum(&self) -> f64 {
        (self.west + self.east) + (self.south + self.north)
    }
}

impl Grid {
    pub(crate) fn finest(plate: &Plate) -> Self {
        let axis = |n| Axis { n, h: 1.0, last: 1.0 };
        Self { x: axis(plate.nx), y: axis(plate.ny) }
    }

    /// The next coarser grid; `None` if this grid has a single cell.
    pub(crate) fn coarser(self) -> Option<Self> {
        let cell = self.x.stays() && self.y.stays();
        (!cell).then(|| Self { x: self.x.coarser(), y: self.y.coarser() })
    }

    /// The shape of the grid's arrays, sides included.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.y.n + 2, self.x.n + 2)
    }

    /// The weights in row `j`: those of all columns but the last, and those of the last column.
    pub(crate) fn weights(&self, j: usize) -> (Weights, Weights) {
        let of = |i: usize| {
            let (width, height) = (self.x.width(i), self.y.width(j));
            Weights {
                west: height / self.x.h,
                east: height / self.x.after(i),
                south: width / self.y.h,
                north: width / self.y.after(j),
            }
        };
        (of(1), of(self.x.n))
    }
}

/// For each cell, the term c of its equation, or [`HELD`] if the cell is held.
pub(crate) struct Reaction(Array2<f64>);

const HELD: f64 = -1.0;

impl Reaction {
    pub(crate) fn finest(held: ArrayView2<'_, u8>) -> Self {
        Self(held.mapv(|held| if held == 0 { 0.0 } else { HELD }))
    }

    pub(crate) fn coarser(&self, grid: Grid, coarse: Grid) -> Self {
        let mut reaction = Array2::from_elem(coarse.shape(), HELD);
        for row in 1..=coarse.y.n {
            for column in 1..=coarse.x.n {
                let under = grid.y.under(row).flat_map(|(j, y_share)| {
                    grid.x.under(column).map(move |(i, x_share)| (j, i, y_share * x_share))
                });
                let free = under.filter(|&(j, i, _)| self.0[[j, i]] != HELD);
                reaction[[row, column]] = free
                    .map(|(j, i, share)| share * (self.0[[j, i]] + self.towards_held(grid, j, i)))
                    .reduce(|a, b| a + b)
                    .unwrap_or(HELD);
            }
        }
        Self(reaction)
    }

    /// The sum of the weights from a free cell to held ones. Sides do not count, because the cell's
    /// equation has them anyway.
    fn towards_held(&self, grid: Grid, j: usize, i: usize) -> f64 {
        let (regular, last) = grid.weights(j);
        let weights = if i == grid.x.n { last } else { regular };
        let (rows, columns) = (1..=grid.y.n, 1..=grid.x.n);
        [
            (j, i - 1, weights.west),
            (j, i + 1, weights.east),
            (j - 1, i, weights.south),
            (j + 1, i, weights.north),
        ]
        .into_iter()
        .filter(|(j, i, _)| rows.contains(j) && columns.contains(i) && self.0[[*j, *i]] == HELD)
        .map(|(.., weight)| weight)
        .sum()
    }

    /// The factor that turns a cell's balance into its value: 1 / (sum of the weights + c), and 0
    /// where the cell is held.
    pub(crate) fn inverse(&self, grid: Grid) -> Array2<f64> {
        let mut inverse = Array2::zeros(grid.shape());
        for j in 1..=grid.y.n {
            let (regular, last) = grid.weights(j);
            for i in 1..=grid.x.n {
                let weights = if i == grid.x.n { last } else { regular };
                let reaction = self.0[[j, i]];
                if reaction != HELD {
                    inverse[[j, i]] = 1.0 / (weights.sum() + reaction);
                }
            }
        }
        inverse
    }
}
