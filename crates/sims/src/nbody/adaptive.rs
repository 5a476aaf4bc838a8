//! The common parts of the adaptive integrators: the bodies whose errors count, and steps that end
//! at a given time.
//!
//! An error is the largest over the *heavy* bodies, which have at least 1e-12 of the total mass,
//! taken in the order of the bodies. A mean would let thousands of quiet asteroids hide the error
//! of a planet; and two asteroids that are too light to affect any other body shall not shorten the
//! steps of all bodies when they meet. So the steps do not depend on light bodies, and a light body
//! that comes close to a heavy one does not shorten them.

use ndarray::ArrayView2;

use super::System;
use super::vector::{Vector, dot, row, sub};

/// The least fraction of the total mass that makes a body heavy.
const HEAVY: f64 = 1e-12;
/// The shortest step, in days: a hundredth of a microsecond.
pub(crate) const SHORTEST: f64 = 1e-13;
/// Two bodies are about to meet if they would fall together within this many days, a tenth of a
/// second.
const MEETING: f64 = 1e-6;

/// The indices of the bodies whose errors count; all of them if none has a mass.
pub(crate) fn heavy(system: &System) -> Vec<usize> {
    let least = HEAVY * system.gm.sum();
    let found: Vec<usize> = (0..system.len()).filter(|&i| system.gm[i] >= least).collect();
    if found.is_empty() { (0..system.len()).collect() } else { found }
}

/// The length of the longest row among `bodies`; NaN if a length is NaN.
pub(crate) fn longest(bodies: &[usize], rows: ArrayView2<f64>) -> f64 {
    longest_of(bodies.iter().map(|&i| row(rows, i)))
}

/// The length of the longest vector; NaN if a length is NaN.
pub(crate) fn longest_of(vectors: impl Iterator<Item = Vector>) -> f64 {
    let square = vectors.map(|v| dot(v, v)).fold(0.0, |longest: f64, square| {
        if square > longest || square.is_nan() { square } else { longest }
    });
    square.sqrt()
}

/// The first step of a run: a small part of the time in which a velocity changes, but at least 1e-6
/// days. If all bodies are at rest that time is unknown, and the step is 1e-6 days: a step that is
/// too long can jump over a meeting unnoticed.
pub(crate) fn first_step(
    bodies: &[usize],
    velocities: ArrayView2<f64>,
    accelerations: ArrayView2<f64>,
) -> f64 {
    let times = bodies.iter().map(|&i| {
        let (v, a) = (row(velocities, i), row(accelerations, i));
        (dot(v, v) / dot(a, a)).sqrt()
    });
    let least = times.filter(|t| *t > 0.0).fold(f64::INFINITY, f64::min);
    if least.is_finite() { (0.01 * least).max(1e-6) } else { 1e-6 }
}

/// A step of at most `proposed` days towards a time `left` days away: the interval is divided into
/// equal steps, so that the last one before the given time is not very short.
pub(crate) fn share(left: f64, proposed: f64) -> f64 {
    let steps = (left.abs() / proposed).ceil();
    if steps > 1.0 { left / steps } else { left }
}

/// The step to propose after a step of `done` days where `proposed` were proposed. A step that was
/// cut very short does not change the proposal.
pub(crate) fn remembered(next: f64, done: f64, proposed: f64) -> f64 {
    if done.abs() < 0.25 * proposed { proposed } else { next }
}

/// The two bodies that will meet first, if any two are about to meet, or are so close that half the
/// digits of their distance are lost. Only heavy bodies are considered.
pub(crate) fn about_to_meet(system: &System) -> Option<[usize; 2]> {
    let (x, gm, heavy) = (system.positions.view(), &system.gm, heavy(system));
    let pairs =
        heavy.iter().enumerate().flat_map(|(n, &i)| heavy[..n].iter().map(move |&j| [j, i]));
    let closest = pairs.filter_map(|[i, j]| {
        let (one, other) = (row(x, i), row(x, j));
        let d = sub(one, other);
        let square = dot(d, d);
        // The square of the time of fall: d^3 / gm.
        let time = square * square.sqrt() / (gm[i] + gm[j]);
        let size = dot(one, one).max(dot(other, other));
        (time < MEETING * MEETING || square < f64::EPSILON * size).then_some((time, [i, j]))
    });
    closest.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, pair)| pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_steps_meet_the_end() {
        assert_eq!(share(-10.0, 3.0), -2.5);
        assert_eq!(share(2.0, 3.0), 2.0);
        assert_eq!(share(6.0, 3.0), 3.0);
        assert_eq!(share(0.1, f64::INFINITY), 0.1);
    }

    #[test]
    fn what_is_no_number_is_not_overlooked() {
        let rows = ndarray::arr2(&[[3.0, 4.0, 0.0], [f64::NAN, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        assert_eq!(longest(&[0, 2], rows.view()), 5.0);
        assert!(longest(&[0, 1], rows.view()).is_nan());
    }
}
