//! Sets of numbers, as lists of ranges that neither overlap nor touch.

use std::ops::Range;

/// Returns the parts of `new` that are in none of `ranges`.
pub(crate) fn gaps(ranges: &[Range<usize>], new: &Range<usize>) -> Vec<Range<usize>> {
    let mut gaps = vec![new.clone()];
    for known in ranges {
        let cut = |gap: Range<usize>| {
            let (before, behind) =
                (known.start.clamp(gap.start, gap.end), known.end.max(gap.start));
            [gap.start..before, behind.max(before).min(gap.end)..gap.end]
        };
        gaps = gaps.into_iter().flat_map(cut).filter(|gap| !gap.is_empty()).collect();
    }
    gaps
}

/// Adds `new` to `ranges`. Ranges that overlap or touch it are merged with it.
pub(crate) fn include(ranges: &mut Vec<Range<usize>>, mut new: Range<usize>) {
    ranges.retain(|old| {
        let apart = old.end < new.start || new.end < old.start;
        if !apart {
            new = new.start.min(old.start)..new.end.max(old.end);
        }
        apart
    });
    ranges.push(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_no_range_has() {
        let known = [10..20, 30..40, 5..7];
        for (new, expected) in [
            (0..5, vec![0..5]),
            (0..8, vec![0..5, 7..8]),
            (12..18, vec![]),
            (10..20, vec![]),
            (15..35, vec![20..30]),
            (0..50, vec![0..5, 7..10, 20..30, 40..50]),
            (40..41, vec![40..41]),
        ] {
            assert_eq!(gaps(&known, &new), expected, "{new:?}");
        }
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Vec::new();
        for new in [0..2, 8..9, 4..6] {
            include(&mut ranges, new);
        }
        assert_eq!(ranges, [0..2, 8..9, 4..6]);
        include(&mut ranges, 2..5);
        assert_eq!(ranges, [8..9, 0..6]);
        include(&mut ranges, 1..20);
        assert_eq!(ranges, [0..20]);
    }
}
