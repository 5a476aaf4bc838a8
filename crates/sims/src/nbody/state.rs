//! A [`System`] in motion: positions and velocities that change very often by small amounts.
//!
//! Each addition of a small step loses half a unit in the last digit. The rounding error of an
//! addition is kept beside the number and added with the next step, so that thousands of steps have
//! the rounding error of a few.
//!
//! Source: Knuth, The Art of Computer Programming 2, 3rd ed. (1998), section 4.2.2, theorem B (the
//! error of a sum is itself a number); Kahan, Comm. ACM 8 (1965) 40 (carrying it along).

use ndarray::{Array2, ArrayView2, Zip};

use super::System;

/// A system and the rounding errors of its positions and velocities.
#[derive(Clone, Debug)]
pub struct State {
    system: System,
    lost_of_positions: Array2<f64>,
    lost_of_velocities: Array2<f64>,
}

impl State {
    /// The initial state of a system.
    #[must_use]
    pub fn new(mut system: System) -> Self {
        for array in [&mut system.positions, &mut system.velocities] {
            if !array.is_standard_layout() {
                *array = array.as_standard_layout().into_owned();
            }
        }
        let zeros = Array2::zeros(system.positions.raw_dim());
        Self { lost_of_positions: zeros.clone(), lost_of_velocities: zeros, system }
    }

    /// The system at the present time.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Returns the system.
    #[must_use]
    pub fn into_system(self) -> System {
        self.system
    }

    /// The number of bodies.
    pub(crate) fn len(&self) -> usize {
        self.system.len()
    }

    pub(crate) fn positions(&self) -> ArrayView2<'_, f64> {
        self.system.positions.view()
    }

    pub(crate) fn velocities(&self) -> ArrayView2<'_, f64> {
        self.system.velocities.view()
    }

    /// Moves all bodies for `dt` days at constant velocity: x += dt v.
    pub fn drift(&mut self, dt: f64) {
        let Self { system, lost_of_positions, .. } = self;
        add(&mut system.positions, lost_of_positions, dt, system.velocities.view());
    }

    /// The rounding errors of the positions; (n, 3).
    pub(crate) fn lost_of_positions(&self) -> ArrayView2<'_, f64> {
        self.lost_of_positions.view()
    }

    /// x += k `change`.
    pub(crate) fn shift(&mut self, k: f64, change: ArrayView2<f64>) {
        add(&mut self.system.positions, &mut self.lost_of_positions, k, change);
    }

    /// v += k `change`.
    pub(crate) fn boost(&mut self, k: f64, change: ArrayView2<f64>) {
        add(&mut self.system.velocities, &mut self.lost_of_velocities, k, change);
    }
}

/// Adds k `change` and the earlier rounding errors `lost` to `sum`, and stores the new errors in
/// `lost`.
fn add(sum: &mut Array2<f64>, lost: &mut Array2<f64>, k: f64, change: ArrayView2<f64>) {
    Zip::from(sum).and(lost).and(change).for_each(|sum, lost, &change| {
        (*sum, *lost) = two_sum(*sum, k * change + *lost);
    });
}

/// The rounded sum, and the exact error of the rounding.
pub(crate) fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nbody::Body;

    #[test]
    fn ten_million_small_drifts_are_one_long_drift() {
        let body = Body {
            name: "arrow".into(),
            gm: 1.0,
            position: [1.0, 2.0, 3.0],
            velocity: [0.1, -0.1, 1e-9],
        };
        let mut state = State::new(std::iter::once(body).collect());
        for _ in 0..10_000_000 {
            state.drift(1e-3);
        }
        let ends = [1001.0, -998.0, 3.00001];
        for (c, end) in ends.into_iter().enumerate() {
            assert!((state.positions()[[0, c]] / end - 1.0).abs() < 1e-15);
        }
    }
}
