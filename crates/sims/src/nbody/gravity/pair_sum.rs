//! The sum over all pairs in three steps, so that the middle one can be distributed: the bodies are
//! packed; the shares of the pairs are summed, each into a row of its own; the rows are added up
//! body by body.
//!
//! The tiling fixes the order in which rows are added. So the bits depend on the bodies and the
//! [`Level`] alone.

use std::marker::PhantomData;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::kernel::{between, within};
use super::lanes::Lanes;
use super::law::Law;
use super::level::{LaneKernel, Level};
use super::packing::{Gathering, Packing, far_away, packs, packs_mut};
use super::tiling::Tiling;

/// Numbers in a cache line.
const LINE: usize = 8;

/// All pairs of `n` bodies, to be summed with the instructions of `level`.
///
/// Arrays are flat. A law takes `IN` numbers for each body and gives `OUT` numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::nbody) struct PairSum {
    pub(in crate::nbody) level: Level,
    pub(in crate::nbody) n: usize,
}

impl PairSum {
    fn tiling(self) -> Tiling {
        Tiling::new(self.n, self.level.width())
    }

    /// The number of shares of the pairs. They have equally many pairs, except for the first and
    /// the last one, which are halves.
    pub(in crate::nbody) fn shares(self) -> usize {
        self.tiling().shares()
    }

    /// The length of the array of packed bodies.
    pub(in crate::nbody) fn packed_len<const IN: usize>(self) -> usize {
        self.tiling().packs() * self.level.width() * IN
    }

    /// The length of a share's row.
    pub(in crate::nbody) fn row_len<const OUT: usize>(self) -> usize {
        self.tiling().packs_in_group() * self.level.width() * OUT
    }

    /// Packs the bodies: GM and the components of `vectors` (positions, then the other vectors of
    /// the law).
    ///
    /// The unused lanes of the last pack get bodies without mass, so far away that no other body is
    /// at their place.
    pub(in crate::nbody) fn pack<const IN: usize>(
        self,
        gm: &[f64],
        vectors: &[&[[f64; 3]]],
        packed: &mut [f64],
    ) {
        let full = self.n.is_multiple_of(self.level.width());
        let away = if full { 0.0 } else { far_away(vectors[0]) };
        self.level.run(Packing::<IN> { gm, vectors, away, packed });
    }

    /// Sums the pairs of `shares`, each into its row of `rows`.
    pub(in crate::nbody) fn sum<F: Law<IN, OUT>, const IN: usize, const OUT: usize>(
        self,
        shares: Range<usize>,
        packed: &[f64],
        rows: &mut [f64],
    ) {
        let law = PhantomData::<F>;
        self.level.run(Sum { tiling: self.tiling(), shares, packed, rows, law });
    }

    /// Adds up the rows of all shares.
    pub(in crate::nbody) fn gather<const OUT: usize>(
        self,
        rows: &[f64],
        vectors: &mut [&mut [[f64; 3]]],
    ) {
        self.level.run(Gathering::<OUT> { tiling: self.tiling(), rows, vectors });
    }
}

struct Sum<'a, F, const IN: usize, const OUT: usize> {
    tiling: Tiling,
    shares: Range<usize>,
    packed: &'a [f64],
    rows: &'a mut [f64],
    law: PhantomData<F>,
}

impl<F: Law<IN, OUT>, const IN: usize, const OUT: usize> LaneKernel for Sum<'_, F, IN, OUT> {
    #[inline(always)]
    fn run<const N: usize, const K: usize, L: Lanes<N>>(self, lanes: L) {
        let bodies = packs::<N, IN>(self.packed);
        let row_len = self.rows.len() / self.shares.len().max(1);
        let several = self.tiling.blocks() > 1;
        let mut room = vec![0.0; if several { row_len / OUT * IN + LINE } else { 0 }];
        let start = room.as_ptr().align_offset(LINE * size_of::<f64>()).min(LINE);
        for (s, row) in self.shares.clone().zip(self.rows.chunks_exact_mut(row_len.max(1))) {
            row.fill(0.0);
            let sums = packs_mut::<N, OUT>(row);
            if !several {
                within::<N, K, IN, OUT, L, F>(lanes, bodies, sums, 0..bodies.len());
                continue;
            }
            // Copies the blocks side by side, so that the kernel's inner loop is long.
            let room = packs_mut::<N, IN>(room.get_mut(start..).unwrap_or_default());
            let share = self.tiling.share(s);
            let mut known = 0;
            for block in self.tiling.group(share.group) {
                let end = known + block.len();
                room[known..end].copy_from_slice(&bodies[block]);
                let from = known.max(share.packs.start)..end.min(share.packs.end);
                if known == 0 {
                    within::<N, K, IN, OUT, L, F>(lanes, &room[..end], sums, from);
                } else {
                    for j in from {
                        let (before, rest) = sums.split_at_mut(j);
                        let before = &mut before[..known];
                        let i = &room[..known];
                        between::<N, K, IN, OUT, L, F>(lanes, i, before, &room[j], &mut rest[0]);
                    }
                }
                known = end;
            }
        }
    }
}
