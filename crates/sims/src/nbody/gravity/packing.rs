//! Packs bodies for the kernel, and adds up the sums that the shares have left for them.

use std::ops::Range;

use super::kernel::Pack;
use super::lanes::Lanes;
use super::level::LaneKernel;
use super::tiling::Tiling;

/// Flat numbers as packs of M numbers for each of N bodies.
pub(super) fn packs<const N: usize, const M: usize>(flat: &[f64]) -> &[Pack<N, M>] {
    flat.as_chunks::<N>().0.as_chunks::<M>().0
}

/// As [`packs`], but writable.
pub(super) fn packs_mut<const N: usize, const M: usize>(flat: &mut [f64]) -> &mut [Pack<N, M>] {
    flat.as_chunks_mut::<N>().0.as_chunks_mut::<M>().0
}

/// An x coordinate at which none of the bodies is.
pub(super) fn far_away(positions: &[[f64; 3]]) -> f64 {
    2.0 * positions.iter().fold(0.0_f64, |largest, x| largest.max(x[0].abs())) + 1.0
}

/// Writes x, y, z, GM and the other vectors of the law into the packs. Unused lanes get bodies
/// without mass.
pub(super) struct Packing<'a, const IN: usize> {
    pub(super) gm: &'a [f64],
    /// The positions, then the other vectors.
    pub(super) vectors: &'a [&'a [[f64; 3]]],
    /// The x of the bodies without mass.
    pub(super) away: f64,
    pub(super) packed: &'a mut [f64],
}

impl<const IN: usize> LaneKernel for Packing<'_, IN> {
    #[inline(always)]
    fn run<const N: usize, const K: usize, L: Lanes<N>>(self, _: L) {
        for (p, pack) in packs_mut::<N, IN>(self.packed).iter_mut().enumerate() {
            let bodies = p * N..self.gm.len().min((p + 1) * N);
            if bodies.len() < N {
                *pack = [[0.0; N]; IN];
                pack[0] = [self.away; N];
            }
            for (to, gm) in pack[3].iter_mut().zip(&self.gm[bodies.clone()]) {
                *to = *gm;
            }
            for (v, vector) in self.vectors.iter().enumerate() {
                let first = if v == 0 { 0 } else { 3 * v + 1 };
                for (l, vector) in vector[bodies.clone()].iter().enumerate() {
                    for c in 0..3 {
                        pack[first + c][l] = vector[c];
                    }
                }
            }
        }
    }
}

/// Adds up the rows of all shares.
pub(super) struct Gathering<'a, 'v, const OUT: usize> {
    pub(super) tiling: Tiling,
    pub(super) rows: &'a [f64],
    pub(super) vectors: &'a mut [&'v mut [[f64; 3]]],
}

impl<const OUT: usize> LaneKernel for Gathering<'_, '_, OUT> {
    #[inline(always)]
    fn run<const N: usize, const K: usize, L: Lanes<N>>(mut self, lanes: L) {
        let tiling = self.tiling;
        if tiling.blocks() == 1 {
            let only = packs::<N, OUT>(self.rows);
            return self.add_up(lanes, tiling.block(0), only, &[]);
        }
        let row_len = self.rows.len() / tiling.shares();
        let mut parts = Vec::new();
        for b in 0..tiling.blocks() {
            parts.clear();
            parts.extend(tiling.places(b).map(|(s, first)| {
                &packs::<N, OUT>(&self.rows[s * row_len..(s + 1) * row_len])[first..]
            }));
            self.add_up(lanes, tiling.block(b), parts[0], &parts[1..]);
        }
    }
}

impl<const OUT: usize> Gathering<'_, '_, OUT> {
    /// Writes the sums of the packs of a block; `first` and `others` are its parts, each of which
    /// begins with the block.
    #[inline(always)]
    fn add_up<const N: usize, L: Lanes<N>>(
        &mut self,
        lanes: L,
        block: Range<usize>,
        first: &[Pack<N, OUT>],
        others: &[&[Pack<N, OUT>]],
    ) {
        for (at, p) in block.enumerate() {
            let mut sum = first[at];
            for other in others {
                for (sum, part) in sum.iter_mut().zip(&other[at]) {
                    let added = lanes.add(lanes.load(sum), lanes.load(part));
                    lanes.store(sum, added);
                }
            }
            for (v, vector) in self.vectors.iter_mut().enumerate() {
                for (l, to) in vector[p * N..].iter_mut().take(N).enumerate() {
                    *to = [sum[3 * v][l], sum[3 * v + 1][l], sum[3 * v + 2][l]];
                }
            }
        }
    }
}
