//! How all pairs of bodies are cut into equal groups, whoever computes them.
//!
//! The bodies are cut into T blocks, and the pairs into T groups: group g has all pairs of bodies in the blocks
//! g + d mod T, d running through a set D of q + 1 numbers with T = q^2 + q + 1. D is a *perfect difference set*: each
//! number from 1 to T - 1 is the difference modulo T of just one pair of its members. So two different blocks are together in just
//! one group, and the groups have equally many pairs. (The pairs within a block go to the group in which it stands first.)
//! The blocks are the points of a projective plane of order q, and the groups are its lines.
//!
//! No group can do with fewer bodies for its pairs, so the sums that the groups leave behind, to be added up body by body,
//! are as few as can be: q + 1 for each body.
//!
//! The cut depends on the number of bodies alone (and on how many the kernel takes at a time), never on the number
//! of workers.
//!
//! Source: Singer, Trans. Amer. Math. Soc. 43 (1938) 377.

use std::ops::Range;

/// The difference sets, and the least number of bodies for which each is used.
const PLANES: [(usize, &[usize]); 4] = [
    (0, &[0]),
    (512, &[0, 1, 3, 9]),
    (2048, &[0, 1, 3, 8, 12, 18]),
    (16384, &[0, 1, 3, 13, 32, 36, 43, 52]),
];

/// The cut of a number of packs of bodies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    packs: usize,
    differences: &'static [usize],
}

impl Tiling {
    /// The cut of `n` bodies in packs of `width`.
    pub(super) fn new(n: usize, width: usize) -> Self {
        let mut differences = PLANES[0].1;
        for (least, set) in PLANES {
            if n >= least {
                differences = set;
            }
        }
        Self { packs: n.div_ceil(width), differences }
    }

    /// The number of packs, the last of which may not be full.
    pub(super) fn packs(self) -> usize {
        self.packs
    }

    /// T, the number of groups and of blocks.
    pub(super) fn groups(self) -> usize {
        self.differences.len() * (self.differences.len() - 1) + 1
    }

    /// The greatest number of packs in a group.
    pub(super) fn packs_in_group(self) -> usize {
        (0..self.groups()).map(|g| self.blocks(g).map(|block| block.len()).sum()).max().unwrap_or(0)
    }

    /// The packs of block `b`.
    pub(super) fn block(self, b: usize) -> Range<usize> {
        let blocks = self.groups();
        b * self.packs / blocks..(b + 1) * self.packs / blocks
    }

    /// The blocks of group `g`, of which the first also brings the pairs within it.
    pub(super) fn blocks(self, g: usize) -> impl Iterator<Item = Range<usize>> {
        self.differences.iter().map(move |d| self.block((g + d) % self.groups()))
    }

    /// Where block `b` appears: for each d in D, the group that has it there and its first pack among the group's.
    pub(super) fn places(self, b: usize) -> impl Iterator<Item = (usize, usize)> {
        let groups = self.groups();
        self.differences.iter().enumerate().map(move |(place, d)| {
            let g = (b + groups - d) % groups;
            (g, self.blocks(g).take(place).map(|block| block.len()).sum())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_are_together_in_one_group_alone() {
        for (n, set) in PLANES {
            let tiling = Tiling::new(n.max(1), 1);
            let groups = tiling.groups();
            let mut together = vec![0; groups * groups];
            for g in 0..groups {
                for (s, a) in set.iter().enumerate() {
                    for b in &set[s + 1..] {
                        let (a, b) = ((g + a) % groups, (g + b) % groups);
                        together[a.min(b) * groups + a.max(b)] += 1;
                    }
                }
            }
            for a in 0..groups {
                for b in 0..groups {
                    assert_eq!(together[a * groups + b], usize::from(a < b));
                }
            }
        }
    }

    #[test]
    fn the_blocks_are_all_packs_in_order() {
        for n in [0, 1, 7, 8, 9, 511, 512, 513, 2047, 2048, 5000, 20000] {
            let tiling = Tiling::new(n, 8);
            let packs: Vec<_> = (0..tiling.groups()).flat_map(|b| tiling.block(b)).collect();
            assert!(packs.into_iter().eq(0..n.div_ceil(8)));
        }
    }

    #[test]
    fn a_block_is_found_where_its_groups_have_it() {
        for n in [5, 600, 5000] {
            let tiling = Tiling::new(n, 8);
            for b in 0..tiling.groups() {
                for (g, first) in tiling.places(b) {
                    let packs: Vec<_> = tiling.blocks(g).flatten().skip(first).collect();
                    assert!(packs.starts_with(&tiling.block(b).collect::<Vec<_>>()));
                }
            }
        }
    }
}
