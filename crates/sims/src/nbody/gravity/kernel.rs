//! The kernel: every pair of bodies once, N by N at a time.
//!
//! Bodies come in packs of N, one body to a lane. To pair all bodies of two packs, one pack is
//! rotated under the other N times: in turn k, lane l of the fixed pack meets lane (l + k) mod N of
//! the rotated one. The pulls on the fixed pack are added to it lane by lane. Those on the rotated
//! pack are added up, in its rotated order, over all the packs that it meets, and rotated back at
//! the end. Lanes are never summed with each other, and a pair costs one evaluation of the law.
//!
//! K turns are made at a time. This changes the speed but never the bits.

use std::ops::Range;

use super::lanes::Lanes;
use super::law::Law;

/// M numbers for each of N bodies.
pub(super) type Pack<const N: usize, const M: usize> = [[f64; N]; M];

/// All pairs of a body in the packs `of` and a body in the same pack or an earlier one.
#[inline(always)]
pub(super) fn within<
    const N: usize,
    const K: usize,
    const IN: usize,
    const OUT: usize,
    L: Lanes<N>,
    F: Law<IN, OUT>,
>(
    lanes: L,
    bodies: &[Pack<N, IN>],
    sums: &mut [Pack<N, OUT>],
    of: Range<usize>,
) {
    for q in of {
        let (before, rest) = sums.split_at_mut(q);
        between::<N, K, IN, OUT, L, F>(lanes, &bodies[..q], before, &bodies[q], &mut rest[0]);
        corner::<N, IN, OUT, L, F>(lanes, &bodies[q], &mut rest[0]);
    }
}

/// All pairs of a body in `bodies` and a body in `turned`.
#[inline(always)]
pub(super) fn between<
    const N: usize,
    const K: usize,
    const IN: usize,
    const OUT: usize,
    L: Lanes<N>,
    F: Law<IN, OUT>,
>(
    lanes: L,
    bodies: &[Pack<N, IN>],
    sums: &mut [Pack<N, OUT>],
    turned: &Pack<N, IN>,
    turned_sum: &mut Pack<N, OUT>,
) {
    let zero = lanes.splat(0.0);
    let j = load(lanes, turned);
    let mut sum_j = load(lanes, turned_sum);
    for first in (0..N).step_by(K) {
        let mut turns = [j; K];
        for (k, turn) in turns.iter_mut().enumerate() {
            *turn = rotate(lanes, j, first + k);
        }
        let mut reactions = [[zero; OUT]; K];
        for (body, sum) in bodies.iter().zip(sums.iter_mut()) {
            let i = load(lanes, body);
            let mut sum_i = load(lanes, sum);
            for k in 0..K {
                F::pull(lanes, &i, &turns[k], &mut sum_i, &mut reactions[k]);
            }
            store(lanes, sum, sum_i);
        }
        for (k, reaction) in reactions.into_iter().enumerate() {
            sum_j = add(lanes, sum_j, rotate(lanes, reaction, N - (first + k)));
        }
    }
    store(lanes, turned_sum, sum_j);
}

/// All pairs within one pack. A rotation by half the lanes has every pair twice, so its reaction is
/// left out.
#[inline(always)]
fn corner<const N: usize, const IN: usize, const OUT: usize, L: Lanes<N>, F: Law<IN, OUT>>(
    lanes: L,
    body: &Pack<N, IN>,
    sum: &mut Pack<N, OUT>,
) {
    let i = load(lanes, body);
    let mut sum_i = load(lanes, sum);
    for k in 1..=N / 2 {
        let j = rotate(lanes, i, k);
        let mut reaction = [lanes.splat(0.0); OUT];
        F::pull(lanes, &i, &j, &mut sum_i, &mut reaction);
        if 2 * k < N {
            sum_i = add(lanes, sum_i, rotate(lanes, reaction, N - k));
        }
    }
    store(lanes, sum, sum_i);
}

// The functions below use loops in place of closures: everything must be inlined into the function
// that has the vector instructions, and a closure passed to another function may not be.

#[inline(always)]
fn load<const N: usize, const M: usize, L: Lanes<N>>(
    lanes: L,
    pack: &Pack<N, M>,
) -> [L::Vector; M] {
    let mut v = [lanes.splat(0.0); M];
    for c in 0..M {
        v[c] = lanes.load(&pack[c]);
    }
    v
}

#[inline(always)]
fn store<const N: usize, const M: usize, L: Lanes<N>>(
    lanes: L,
    pack: &mut Pack<N, M>,
    v: [L::Vector; M],
) {
    for c in 0..M {
        lanes.store(&mut pack[c], v[c]);
    }
}

#[inline(always)]
fn add<const N: usize, const M: usize, L: Lanes<N>>(
    lanes: L,
    mut a: [L::Vector; M],
    b: [L::Vector; M],
) -> [L::Vector; M] {
    for c in 0..M {
        a[c] = lanes.add(a[c], b[c]);
    }
    a
}

#[inline(always)]
fn rotate<const N: usize, const M: usize, L: Lanes<N>>(
    lanes: L,
    mut v: [L::Vector; M],
    k: usize,
) -> [L::Vector; M] {
    for v in &mut v {
        *v = lanes.rotate(*v, k);
    }
    v
}
