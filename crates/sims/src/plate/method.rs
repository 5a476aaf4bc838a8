//! The methods that sweep over the plate, each as a list of stages that act on rows.
//!
//! | method | a sweep | error after m sweeps of n x n cells |
//! |---|---|---|
//! | [`Method::Jacobi`] | one stage: all cells become the mean of their neighbours | falls as rho^m, rho = cos(pi / (n + 1)) |
//! | [`Method::Sor`] | two stages, one for each colour of a chessboard: the cells move by omega times their difference from the mean | falls about as (omega - 1)^m |
//! | [`Method::Chebyshev`] | one stage: from the sweep before the last, by a changing factor times the difference from the mean | falls about as (omega - 1)^(m / 2) |
//! | [`Method::Heat`] | one stage: a step of the heat equation | depends on the size of the step, not on m |
//!
//! omega = 2 / (1 + sqrt(1 - rho^2)), which is optimal if no cell within the plate is held. If some
//! are held, their plate has a smaller rho; the methods use the rho of the whole plate and still
//! converge.
//!
//! Source: Varga, Matrix Iterative Analysis, 2nd ed. (2000), sections 4.3 and 5.1; Young, Iterative
//! Solution of Large Linear Systems (1971), chapter 6.

use serde::{Deserialize, Serialize};

use super::Plate;
use super::rows::{beyond, colour, euler, mean};
use super::wavefront::Rows;

/// A method that sweeps over the plate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Method {
    /// Jacobi: one stage a sweep, which makes all cells from those of the sweep before.
    Jacobi,
    /// Successive over-relaxation in red and black: two stages a sweep, and about 2 n / pi times
    /// fewer sweeps than Jacobi.
    Sor,
    /// Chebyshev's semi-iteration on Jacobi: one stage a sweep, and as fast as SOR in stages.
    Chebyshev,
    /// The heat equation by explicit Euler: see [`heat`](super::heat).
    Heat {
        /// The time step over the square of the distance between cells, above 0 and at most
        /// [`LARGEST_RATIO`](super::heat::LARGEST_RATIO).
        ratio: f64,
    },
}

impl Method {
    /// The factor by which a sweep reduces the error after many sweeps; 1 for the heat equation,
    /// which does not aim at the steady state.
    ///
    /// # Examples
    ///
    /// ```
    /// use sims::plate::{Method, Plate};
    ///
    /// let plate = Plate { nx: 255, ny: 255, top: 100.0, bottom: 0.0, left: 0.0, right: 0.0 };
    /// let sweeps = |method: Method| 1e-8_f64.ln() / method.rate(&plate).ln();
    /// assert!(sweeps(Method::Jacobi) > 240_000.0 && sweeps(Method::Sor) < 760.0);
    /// ```
    #[must_use]
    pub fn rate(self, plate: &Plate) -> f64 {
        let rho = plate.spectral_radius();
        match self {
            Self::Jacobi => rho,
            Self::Sor => best_omega(rho) - 1.0,
            Self::Chebyshev => (best_omega(rho) - 1.0).sqrt(),
            Self::Heat { .. } => 1.0,
        }
    }
}

fn best_omega(rho: f64) -> f64 {
    2.0 / (1.0 + (1.0 - rho * rho).sqrt())
}

/// What one stage does to every row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Rule {
    Mean,
    /// Relaxes the cells whose column and row add up to an odd number, or to an even one.
    Colour {
        odd: bool,
        omega: f64,
    },
    Beyond {
        omega: f64,
    },
    Euler {
        ratio: f64,
    },
}

impl Rule {
    /// Makes row `j` from `rows`.
    #[inline(always)]
    pub(crate) fn apply(self, j: usize, rows: Rows<'_>, new: &mut [f64]) {
        match self {
            Self::Mean => mean(rows, new),
            Self::Colour { odd, omega } => colour(rows, odd != (j % 2 == 1), omega, new),
            Self::Beyond { omega } => beyond(rows, omega, new),
            Self::Euler { ratio } => euler(rows, ratio, new),
        }
    }
}

/// The sequence of the stages of a method.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    method: Method,
    rho: f64,
    /// The omega of the next sweep, for a method that changes it.
    omega: f64,
}

impl Schedule {
    pub(crate) fn new(method: Method, plate: &Plate) -> Self {
        Self { method, rho: plate.spectral_radius(), omega: 1.0 }
    }

    /// The number of stages of a sweep.
    pub(crate) fn stages(&self) -> usize {
        if self.method == Method::Sor { 2 } else { 1 }
    }

    /// Whether a stage s also uses stage s - 2.
    pub(crate) fn looks_back(&self) -> bool {
        self.method == Method::Chebyshev
    }

    /// The stages of the next `sweeps` sweeps.
    pub(crate) fn next(&mut self, sweeps: usize) -> Vec<Rule> {
        (0..sweeps).flat_map(|_| self.next_sweep()).flatten().collect()
    }

    fn next_sweep(&mut self) -> [Option<Rule>; 2] {
        match self.method {
            Method::Jacobi => [Some(Rule::Mean), None],
            Method::Sor => {
                let omega = best_omega(self.rho);
                [true, false].map(|odd| Some(Rule::Colour { odd, omega }))
            }
            Method::Chebyshev => {
                let omega = self.omega;
                // omega is 1, then 1 / (1 - rho^2 / 2), then 1 / (1 - rho^2 omega / 4).
                let share = if omega == 1.0 { 0.5 } else { 0.25 };
                self.omega = 1.0 / (1.0 - share * self.rho * self.rho * omega);
                [Some(Rule::Beyond { omega }), None]
            }
            Method::Heat { ratio } => [Some(Rule::Euler { ratio }), None],
        }
    }
}
