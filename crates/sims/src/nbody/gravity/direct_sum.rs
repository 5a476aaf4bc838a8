//! The accelerations of all bodies on the calling thread, computed repeatedly in the same memory.

use ndarray::{ArrayView1, ArrayView2, ArrayViewMut2};

use super::law::{Law, Newton, NewtonWithJerk};
use super::level::Level;
use super::pair_sum::PairSum;
use super::rows::{rows, with_rows_mut};

/// Bodies of given masses, and the memory for the sum of their pulls.
///
/// The memory is about 60 bytes a body below 2000 bodies, 120 up to 4095, 190 up to 16383 and 240
/// above, and twice that in addition once jerks are computed. The first call allocates it.
///
/// # Examples
///
/// ```
/// use ndarray::{Array2, array};
/// use sims::nbody::gravity::{DirectSum, Level};
///
/// let gm = array![1.0, 4.0];
/// let positions = array![[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]];
/// let mut accelerations = Array2::zeros((2, 3));
/// let mut sum = DirectSum::new(gm.view(), Level::best());
/// sum.accelerations(positions.view(), accelerations.view_mut());
/// assert_eq!(accelerations, array![[1.0, 0.0, 0.0], [-0.25, 0.0, 0.0]]);
/// ```
#[derive(Clone, Debug)]
pub struct DirectSum {
    pairs: PairSum,
    gm: Vec<f64>,
    packed: Vec<f64>,
    rows: Vec<f64>,
}

impl DirectSum {
    /// A sum for bodies of the masses `gm`.
    ///
    /// # Panics
    ///
    /// If this processor lacks the instructions of `level`.
    #[must_use]
    pub fn new(gm: ArrayView1<f64>, level: Level) -> Self {
        assert!(level.is_available(), "this processor lacks {}", level.name());
        let pairs = PairSum { level, n: gm.len() };
        Self { pairs, gm: gm.to_vec(), packed: Vec::new(), rows: Vec::new() }
    }

    /// The instruction set that the sum uses.
    #[must_use]
    pub fn level(&self) -> Level {
        self.pairs.level
    }

    /// Writes the acceleration of each body due to all others.
    ///
    /// # Shapes
    ///
    /// `positions: (n, 3)`, `out: (n, 3)`, which is overwritten.
    ///
    /// # Units
    ///
    /// Positions in AU and GM in AU^3/day^2 give AU/day^2.
    ///
    /// # Panics
    ///
    /// If the shapes do not match.
    pub fn accelerations(&mut self, positions: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
        assert_eq!(positions.dim(), (self.pairs.n, 3), "positions do not fit gm");
        assert_eq!(out.dim(), positions.dim(), "out does not fit positions");
        self.sum::<Newton, 4, 3>(&[&rows(&positions)]);
        with_rows_mut(&mut out, |out| self.pairs.gather::<3>(&self.rows, &mut [out]));
    }

    /// Writes the acceleration of each body and the rate at which it changes, the jerk.
    ///
    /// # Shapes
    ///
    /// All arrays are `(n, 3)`; `accelerations` and `jerks` are overwritten.
    ///
    /// # Units
    ///
    /// Positions in AU, velocities in AU/day and GM in AU^3/day^2 give AU/day^2 and AU/day^3.
    ///
    /// # Panics
    ///
    /// If the shapes do not match.
    pub fn accelerations_and_jerks(
        &mut self,
        positions: ArrayView2<f64>,
        velocities: ArrayView2<f64>,
        mut accelerations: ArrayViewMut2<f64>,
        mut jerks: ArrayViewMut2<f64>,
    ) {
        assert_eq!(positions.dim(), (self.pairs.n, 3), "positions do not fit gm");
        assert_eq!(velocities.dim(), positions.dim(), "velocities do not fit positions");
        assert_eq!(accelerations.dim(), positions.dim(), "accelerations do not fit positions");
        assert_eq!(jerks.dim(), positions.dim(), "jerks do not fit positions");
        self.sum::<NewtonWithJerk, 7, 6>(&[&rows(&positions), &rows(&velocities)]);
        with_rows_mut(&mut accelerations, |a| {
            with_rows_mut(&mut jerks, |j| self.pairs.gather::<6>(&self.rows, &mut [a, j]));
        });
    }

    /// Packs the bodies and sums all shares.
    fn sum<F: Law<IN, OUT>, const IN: usize, const OUT: usize>(&mut self, vectors: &[&[[f64; 3]]]) {
        let shares = 0..self.pairs.shares();
        self.packed.resize(self.pairs.packed_len::<IN>(), 0.0);
        self.rows.resize(shares.len() * self.pairs.row_len::<OUT>(), 0.0);
        self.pairs.pack::<IN>(&self.gm, vectors, &mut self.packed);
        self.pairs.sum::<F, IN, OUT>(shares, &self.packed, &mut self.rows);
    }
}
