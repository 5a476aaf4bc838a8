//! Keeps account of the free bytes of a block. A request gets the lowest free range that is long
//! enough, so that the same pages are used again and again as long as they suffice.

use std::collections::BTreeMap;
use std::ops::Range;

use super::block::Block;

/// Ranges that are given out begin and end at the boundary of a page. Source: the smallest page of
/// x86-64 and aarch64.
const PAGE: usize = 4096;

/// How many bytes of memory behind the ranges in use are kept for later use.
const KEPT: usize = 64 << 20;

pub(super) struct FreeList {
    /// The free ranges: the end of each, by its beginning. No two of them touch each other.
    free: BTreeMap<usize, usize>,
    /// The bytes from here on were never in use, or have been given back to the system since.
    used: usize,
}

impl FreeList {
    pub(super) fn new(all: Range<usize>) -> Self {
        Self { free: BTreeMap::from([(all.start, all.end)]), used: all.start }
    }

    /// Takes a range of at least `bytes` bytes; `None` if no free range is long enough.
    pub(super) fn take(&mut self, bytes: usize) -> Option<Range<usize>> {
        let bytes = bytes.max(1).checked_next_multiple_of(PAGE)?;
        let fits =
            |(start, end): (&usize, &usize)| (end - start >= bytes).then_some((*start, *end));
        let (start, end) = self.free.iter().find_map(fits)?;
        self.free.remove(&start);
        if end - start > bytes {
            self.free.insert(start + bytes, end);
        }
        self.used = self.used.max(start + bytes);
        Some(start..start + bytes)
    }

    /// The free ranges that may have memory. The caller gives that memory back to the system.
    #[must_use]
    pub(super) fn all_idle(&mut self) -> Vec<Range<usize>> {
        let used = self.used;
        let idle = self.free.iter().map(|(start, end)| *start..(*end).min(used));
        let idle: Vec<_> = idle.filter(|range| !range.is_empty()).collect();
        if let Some(last) = idle.last().filter(|last| last.end == used) {
            self.used = last.start;
        }
        idle
    }

    /// As [`take`](Self::take), and makes the file of the block long enough for the range.
    pub(super) fn take_of(&mut self, block: &Block, bytes: usize) -> Option<Range<usize>> {
        let room = self.take(bytes)?;
        if !block.grow(room.end) {
            block.give_back_if_any(self.put_back(room));
            return None;
        }
        Some(room)
    }

    /// As [`extend`](Self::extend), and makes the file of the block long enough for the range.
    pub(super) fn extend_in(
        &mut self,
        block: &Block,
        room: &mut Range<usize>,
        bytes: usize,
    ) -> bool {
        let former = room.len();
        let is_extended = self.extend(room, bytes);
        let has_grown = is_extended && block.grow(room.end);
        if is_extended && !has_grown {
            block.give_back_if_any(self.shorten(room, former));
        }
        has_grown
    }

    /// Extends a range where it lies, to at least `bytes` bytes, and to twice its length as far as
    /// the bytes behind it are free. Returns whether the range has at least `bytes` bytes.
    pub(super) fn extend(&mut self, room: &mut Range<usize>, bytes: usize) -> bool {
        if bytes <= room.len() {
            return true;
        }
        let Some(free) = self.free.get(&room.end).copied() else { return false };
        let Some(least) = bytes.checked_next_multiple_of(PAGE) else { return false };
        let Some(end) = room.start.checked_add(least.max(2 * room.len())) else { return false };
        let end = end.min(free);
        if end - room.start < bytes {
            return false;
        }
        self.free.remove(&room.end);
        if end < free {
            self.free.insert(end, free);
        }
        room.end = end;
        self.used = self.used.max(end);
        true
    }

    /// Takes back the part of a range behind its first `bytes` bytes. Returns the memory that the
    /// caller has to give back to the system.
    #[must_use]
    pub(super) fn shorten(
        &mut self,
        room: &mut Range<usize>,
        bytes: usize,
    ) -> Option<Range<usize>> {
        let end = room.start + bytes.max(1).next_multiple_of(PAGE);
        if end >= room.end {
            return None;
        }
        self.put_back(end..std::mem::replace(&mut room.end, end))
    }

    /// Takes a range back. Returns the memory that the caller has to give back to the system.
    #[must_use]
    pub(super) fn put_back(
        &mut self,
        Range { mut start, mut end }: Range<usize>,
    ) -> Option<Range<usize>> {
        if let Some((before, touching)) = self.free.range(..start).next_back()
            && *touching == start
        {
            start = *before;
        }
        if let Some(behind) = self.free.remove(&end) {
            end = behind;
        }
        self.free.insert(start, end);
        let kept = start + KEPT;
        (end >= self.used && kept < self.used)
            .then(|| kept..std::mem::replace(&mut self.used, kept))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_given_out_is_in_one_hand_and_comes_back_whole(
            steps in prop::collection::vec((0..3, 1_usize..100_000, any::<usize>()), 0..200),
        ) {
            let all = 8192..(64 << 20) + 8192;
            let mut free_list = FreeList::new(all.clone());
            let mut out: Vec<Range<usize>> = Vec::new();
            for (step, bytes, n) in steps {
                if step == 0 {
                    let taken = free_list.take(bytes).expect("there is enough");
                    prop_assert!(taken.len() >= bytes && taken.len() < bytes + PAGE);
                    out.push(taken);
                } else if !out.is_empty() {
                    let n = n % out.len();
                    let mut range = out.swap_remove(n);
                    let before = range.clone();
                    if step == 1 {
                        prop_assert_eq!(free_list.put_back(range), None);
                        continue;
                    }
                    if free_list.extend(&mut range, bytes) {
                        prop_assert!(range.len() >= bytes);
                        prop_assert!(range.len() <= before.len().max(bytes + PAGE).max(2 * before.len()));
                    } else {
                        prop_assert_eq!(&range, &before);
                        prop_assert!(bytes > before.len());
                    }
                    prop_assert_eq!(range.start, before.start);
                    if n.is_multiple_of(2) {
                        prop_assert_eq!(free_list.shorten(&mut range, bytes), None);
                        prop_assert!(range.len() < bytes + PAGE);
                    }
                    out.push(range);
                }
                let last = out.last().cloned().unwrap_or(0..0);
                prop_assert!(last.is_empty() || last.start >= all.start && last.end <= all.end);
                let apart = |other: &Range<usize>| other.end <= last.start || last.end <= other.start;
                prop_assert!(out.iter().rev().skip(1).all(apart));
            }
            out.into_iter().for_each(|range| prop_assert_none(free_list.put_back(range)));
            prop_assert_eq!(free_list.free, BTreeMap::from([(all.start, all.end)]));
        }
    }

    fn prop_assert_none(range: Option<Range<usize>>) {
        assert_eq!(range, None, "as much is kept");
    }

    #[test]
    fn what_is_not_needed_for_long_goes_back_to_the_system() {
        let mut free_list = FreeList::new(0..1 << 40);
        let large = free_list.take(3 * KEPT).expect("there is enough");
        let small = free_list.take(1).expect("there is enough");
        assert_eq!(free_list.put_back(large), None, "something behind it is in use");
        assert_eq!(free_list.put_back(small), Some(KEPT..3 * KEPT + PAGE));
        let again = free_list.take(2 * KEPT).expect("there is enough");
        assert_eq!(free_list.put_back(again), Some(KEPT..2 * KEPT));
        assert_eq!(free_list.take(1 << 41), None);
    }
}
