//! The division of all pairs of bodies into groups that can be summed separately.
//!
//! The bodies are divided into T = q^2 + q + 1 blocks, and the pairs into T groups: group g has all
//! pairs of bodies in the blocks g + d mod T, where d runs through a set D of q + 1 numbers. D is a
//! *perfect difference set*: each number from 1 to T - 1 is the difference modulo T of exactly one
//! pair of its members. So two different blocks are together in exactly one group, and all groups
//! have equally many pairs. (The pairs within a block belong to the group whose first block it is.)
//! The blocks are the points of a projective plane of order q, and the groups are its lines.
//!
//! This way a group needs the fewest bodies for its pairs. So each body has few partial sums to be
//! added up at the end: q + 1.
//!
//! T is odd. So that two or four workers can get equal work, group 0 is cut into halves, and there
//! are T + 1 *shares*: a half, T - 1 groups and the other half.
//!
//! The division depends on the number of bodies (and on how many of them the kernel takes at a
//! time), but never on the number of workers.
//!
//! Source: Singer, Trans. Amer. Math. Soc. 43 (1938) 377.

use std::ops::Range;

/// The number of bodies below which there is only one share.
pub(in crate::nbody) const ONE_BELOW: usize = 2000;

/// The difference sets, each with the least number of bodies that it is used for. The blocks are
/// few enough to be long for the kernel and to leave few partial sums, and enough for as many
/// workers as such a number of bodies can use.
const PLANES: [(usize, &[usize]); 4] = [
    (0, &[0]),
    (ONE_BELOW, &[0, 1, 3]),
    (4096, &[0, 1, 3, 8, 12, 18]),
    (16384, &[0, 1, 3, 13, 32, 36, 43, 52]),
];

/// The division of a number of packs of bodies into blocks, groups and shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    packs: usize,
    differences: &'static [usize],
}

/// A set of pairs that is summed separately: pairs of bodies in a group of blocks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    /// The index of the group.
    pub(super) group: usize,
    /// The packs of the group that are paired, each with all packs before it.
    pub(super) packs: Range<usize>,
}

impl Tiling {
    /// The division of `n` bodies in packs of `width`.
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

    /// T, the number of blocks and of groups.
    pub(super) fn blocks(self) -> usize {
        self.differences.len() * (self.differences.len() - 1) + 1
    }

    /// The packs of block `b`.
    pub(super) fn block(self, b: usize) -> Range<usize> {
        let blocks = self.blocks();
        b * self.packs / blocks..(b + 1) * self.packs / blocks
    }

    /// The blocks of group `g`. The group also has the pairs within the first of them.
    pub(super) fn group(self, g: usize) -> impl Iterator<Item = Range<usize>> {
        self.differences.iter().map(move |d| self.block((g + d) % self.blocks()))
    }

    /// The largest number of packs in a group.
    pub(super) fn packs_in_group(self) -> usize {
        if self.blocks() == 1 {
            return self.packs;
        }
        (0..self.blocks()).map(|g| self.len(g)).max().unwrap_or(0)
    }

    /// The number of shares.
    pub(super) fn shares(self) -> usize {
        if self.blocks() == 1 { 1 } else { self.blocks() + 1 }
    }

    /// Returns share `s`.
    pub(super) fn share(self, s: usize) -> Share {
        let group = s % self.blocks();
        let len = self.len(group);
        // The first k packs have about k^2 / 2 pairs, so half of the pairs are before this pack.
        let half = len * 181 / 256;
        let packs = match (s, self.shares()) {
            (_, 1) => 0..len,
            (0, _) => 0..half,
            (s, _) if s == self.blocks() => half..len,
            _ => 0..len,
        };
        Share { group, packs }
    }

    /// The places of block `b`: the shares that have it, and the index of its first pack in the
    /// share's group.
    pub(super) fn places(self, b: usize) -> impl Iterator<Item = (usize, usize)> {
        let blocks = self.blocks();
        self.differences.iter().enumerate().flat_map(move |(k, d)| {
            let g = (b + blocks - d) % blocks;
            let first = self.group(g).take(k).map(|block| block.len()).sum();
            let halves = g == 0 && blocks > 1;
            [Some((g, first)), halves.then_some((blocks, first))].into_iter().flatten()
        })
    }

    /// The number of packs in group `g`.
    fn len(self, g: usize) -> usize {
        self.group(g).map(|block| block.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_blocks_are_together_in_one_group_alone() {
        for (n, set) in PLANES {
            let blocks = Tiling::new(n.max(1), 1).blocks();
            let mut together = vec![0; blocks * blocks];
            for g in 0..blocks {
                for (s, a) in set.iter().enumerate() {
                    for b in &set[s + 1..] {
                        let (a, b) = ((g + a) % blocks, (g + b) % blocks);
                        together[a.min(b) * blocks + a.max(b)] += 1;
                    }
                }
            }
            for a in 0..blocks {
                for b in 0..blocks {
                    assert_eq!(together[a * blocks + b], usize::from(a < b));
                }
            }
        }
    }

    #[test]
    fn the_blocks_are_all_packs_in_order() {
        for n in [0, 1, 7, 8, 9, 1999, 2000, 2001, 4095, 4096, 5000, 20000] {
            let tiling = Tiling::new(n, 8);
            let packs: Vec<_> = (0..tiling.blocks()).flat_map(|b| tiling.block(b)).collect();
            assert!(packs.into_iter().eq(0..n.div_ceil(8)));
        }
    }

    #[test]
    fn each_pack_of_each_group_is_in_one_share() {
        for n in [1, 5, 2100, 5000, 20000] {
            let tiling = Tiling::new(n, 8);
            let mut shared = vec![Vec::new(); tiling.blocks()];
            for s in 0..tiling.shares() {
                let Share { group, packs } = tiling.share(s);
                shared[group].extend(packs);
            }
            for (g, packs) in shared.into_iter().enumerate() {
                let len: usize = tiling.group(g).map(|block| block.len()).sum();
                assert!(packs.into_iter().eq(0..len));
            }
        }
    }

    #[test]
    fn the_halves_of_the_first_group_have_about_as_many_pairs() {
        for n in [2000, 5000, 20000] {
            let tiling = Tiling::new(n, 8);
            let pairs = |s| tiling.share(s).packs.sum::<usize>() as f64;
            let ratio = pairs(0) / pairs(tiling.shares() - 1);
            assert!((0.9..1.1).contains(&ratio), "{n} bodies: {ratio}");
        }
    }

    #[test]
    fn a_block_is_found_where_shares_have_it() {
        for n in [5, 2100, 5000] {
            let tiling = Tiling::new(n, 8);
            for b in 0..tiling.blocks() {
                for (s, first) in tiling.places(b) {
                    let packs: Vec<_> =
                        tiling.group(tiling.share(s).group).flatten().skip(first).collect();
                    assert!(packs.starts_with(&tiling.block(b).collect::<Vec<_>>()));
                }
            }
            let places: usize = (0..tiling.blocks()).map(|b| tiling.places(b).count()).sum();
            let blocks: usize =
                (0..tiling.shares()).map(|s| tiling.group(tiling.share(s).group).count()).sum();
            assert_eq!(places, blocks);
        }
    }
}
