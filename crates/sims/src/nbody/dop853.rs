//! Dormand and Prince's method of order 8 with error estimates of orders 5 and 3, and adaptive
//! steps.
//!
//! An explicit Runge-Kutta method for d(x, v)/dt = (v, a). It takes twelve evaluations of the
//! forces a step, and eleven for a step that is repeated.
//!
//! `accuracy` is the largest allowed relative error of a step: the largest over the heavy bodies
//! (see [`adaptive`](super::adaptive)) of the estimated error of the position over the distance
//! from the origin, or of the velocity over the speed. Its default is 1e-13. For a body near the
//! origin or at rest, a thousandth of the largest distance or speed takes the place of its own. The
//! errors of steps add up: ten years of the planets and the Moon end within 1e-9 AU.
//!
//! Source: Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, 2nd ed. (1993),
//! sections II.5 and II.10.

use ndarray::{Array2, ArrayView2};

use super::adaptive::{SHORTEST, first_step, heavy, longest, remembered, share};
use super::dop853_tableau::{ERROR_5, OF_ORDER_3, Row, STAGES};
use super::integrator::{Halt, Stepper};
use super::vector::{dot, row};
use super::{Forces, State};

/// The default accuracy.
pub const ACCURACY: f64 = 1e-13;
/// The next step is this fraction of the step that would have exactly the allowed error.
const SAFETY: f64 = 0.9;
/// The least and the largest factor from one step to the next.
const CHANGE: (f64, f64) = (1.0 / 3.0, 6.0);
/// The least scale of positions and velocities, relative to the largest of them.
const LEAST_SCALE: f64 = 1e-3;

/// The method, with the data of its last step.
#[derive(Debug)]
pub struct Dop853 {
    accuracy: f64,
    heavy: Vec<usize>,
    /// The proposed length of the next step, in days; 0 before the first step.
    proposed: f64,
    /// The accelerations at the end of the last step.
    accelerations: Option<Array2<f64>>,
}

impl Dop853 {
    /// The method before its first step.
    #[must_use]
    pub(crate) fn new(accuracy: f64) -> Self {
        Self { accuracy, heavy: Vec::new(), proposed: 0.0, accelerations: None }
    }

    /// The error of a step from (x0, v0), relative to the allowed error.
    fn error(&self, stages: &Stages, x0: ArrayView2<f64>, v0: ArrayView2<f64>, dt: f64) -> f64 {
        let last = STAGES[11];
        let difference = |rates: &[Array2<f64>]| {
            let mut third = combined(rates, last, 1.0);
            third -= &combined(rates, OF_ORDER_3, 1.0);
            [combined(rates, ERROR_5, dt), third * dt]
        };
        let [x5, x3] = difference(&stages.velocities);
        let [v5, v3] = difference(&stages.accelerations);
        let least_x = LEAST_SCALE * longest(&self.heavy, x0);
        let least_v = LEAST_SCALE * longest(&self.heavy, v0);
        let length = |rows: ArrayView2<f64>, i| dot(row(rows, i), row(rows, i)).sqrt();
        self.heavy.iter().fold(0.0, |largest: f64, &i| {
            let scale_x = self.accuracy * length(x0, i).max(least_x);
            let scale_v = self.accuracy * length(v0, i).max(least_v);
            let square = |x: &Array2<f64>, v: &Array2<f64>| {
                let (x, v) = (length(x.view(), i) / scale_x, length(v.view(), i) / scale_v);
                x.max(v).powi(2)
            };
            let (fifth, third) = (square(&x5, &v5), square(&x3, &v3));
            // The estimate of order 5, reduced where the estimate of order 3 shows that the step is
            // short.
            let error = if fifth > 0.0 { fifth / (fifth + 0.01 * third).sqrt() } else { fifth };
            if error > largest || error.is_nan() { error } else { largest }
        })
    }
}

impl<F: Forces> Stepper<F> for Dop853 {
    fn step(
        &mut self,
        state: &mut State,
        forces: &mut F,
        left: f64,
    ) -> Result<f64, Halt<F::Error>> {
        let first = match self.accelerations.take() {
            Some(accelerations) => accelerations,
            None => {
                let mut out = Array2::zeros((state.len(), 3));
                forces.accelerations(state.positions(), state.velocities(), out.view_mut())?;
                out
            }
        };
        if self.proposed == 0.0 {
            self.heavy = heavy(state.system());
            self.proposed = first_step(&self.heavy, state.velocities(), first.view());
        }
        let (mut proposed, mut again) = (self.proposed, false);
        let mut stages = Stages::new(state.velocities(), first);
        let dt = loop {
            if proposed < SHORTEST {
                return Err(Halt::TooShort);
            }
            let dt = share(left, proposed);
            stages.fill(state, forces, dt)?;
            let error = self.error(&stages, state.positions(), state.velocities(), dt);
            let factor = (SAFETY * error.powf(-1.0 / 8.0)).max(CHANGE.0);
            // A NaN is left to the caller, which finds the body that it belongs to.
            if error > 1.0 {
                (proposed, again) = (dt.abs() * factor, true);
                continue;
            }
            let most = if again { 1.0 } else { CHANGE.1 };
            self.proposed = remembered(dt.abs() * factor.min(most), dt, proposed);
            break dt;
        };
        state.shift(dt, combined(&stages.velocities, STAGES[11], 1.0).view());
        state.boost(dt, combined(&stages.accelerations, STAGES[11], 1.0).view());
        let mut last = stages.accelerations.swap_remove(0);
        forces.accelerations(state.positions(), state.velocities(), last.view_mut())?;
        self.accelerations = Some(last);
        Ok(dt)
    }
}

/// Velocities and accelerations at the twelve stages of a step: the rates of positions and
/// velocities.
struct Stages {
    velocities: Vec<Array2<f64>>,
    accelerations: Vec<Array2<f64>>,
}

impl Stages {
    fn new(v0: ArrayView2<f64>, a0: Array2<f64>) -> Self {
        Self { velocities: vec![v0.to_owned()], accelerations: vec![a0] }
    }

    /// Computes all stages but the first, which is the start of the step.
    fn fill<F: Forces>(
        &mut self,
        state: &State,
        forces: &mut F,
        dt: f64,
    ) -> Result<(), Halt<F::Error>> {
        self.velocities.truncate(1);
        self.accelerations.truncate(1);
        for row in &STAGES[..11] {
            let x = combined(&self.velocities, row, dt) + state.lost_of_positions();
            let x = x + state.positions();
            let v = combined(&self.accelerations, row, dt) + state.velocities();
            let mut a = Array2::zeros(x.raw_dim());
            forces.accelerations(x.view(), v.view(), a.view_mut())?;
            self.velocities.push(v);
            self.accelerations.push(a);
        }
        Ok(())
    }
}

/// `dt` times the sum of the rates at some stages, each with its factor.
fn combined(rates: &[Array2<f64>], row: Row, dt: f64) -> Array2<f64> {
    let mut sum = Array2::zeros(rates[0].raw_dim());
    for &(stage, factor) in row {
        sum.scaled_add(dt * factor, &rates[stage]);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of the stages, as fractions of the step.
    fn times() -> Vec<f64> {
        let rows = STAGES[..11].iter().map(|row| row.iter().map(|(_, a)| a).sum());
        std::iter::once(0.0).chain(rows).collect()
    }

    #[test]
    fn the_tableau_integrates_powers_of_time_up_to_its_order() {
        let times = times();
        let sum = |row: Row, k: i32| row.iter().map(|(j, b)| b * times[*j].powi(k)).sum::<f64>();
        for k in 0..8 {
            assert!((sum(STAGES[11], k) - 1.0 / f64::from(k + 1)).abs() < 1e-14, "{k}");
        }
        for k in 0..5 {
            assert!(sum(ERROR_5, k).abs() < 1e-14, "{k}");
        }
        for k in 0..3 {
            assert!((sum(OF_ORDER_3, k) - 1.0 / f64::from(k + 1)).abs() < 1e-14, "{k}");
        }
        assert!((times[11] - 1.0).abs() < 1e-14);
    }
}
