//! Divides work into contiguous parts.

use std::ops::Range;

/// Divides `0..n_items` into at most `n_parts` contiguous ranges whose lengths differ by at most
/// one.
///
/// No range is empty: if there are fewer items than parts, there are as many ranges as items, and
/// if `n_items` or `n_parts` is 0, there are none. The longer ranges come first. Ranges of a
/// rounded-up length would leave workers without work: 9 items in 8 parts would make 5 ranges.
///
/// # Examples
///
/// ```
/// use farm_core::distribute;
///
/// assert_eq!(distribute(9, 4), [0..3, 3..5, 5..7, 7..9]);
/// assert_eq!(distribute(2, 4), [0..1, 1..2]);
/// assert!(distribute(0, 4).is_empty());
/// ```
pub fn distribute(n_items: usize, n_parts: usize) -> Vec<Range<usize>> {
    let parts = n_parts.min(n_items);
    if parts == 0 {
        return Vec::new();
    }
    let (short, longer) = (n_items / parts, n_items % parts);
    let mut start = 0;
    (0..parts)
        .map(|part| {
            let end = start + short + usize::from(part < longer);
            let range = start..end;
            start = end;
            range
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::distribute;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_contiguous_even_and_never_empty(n in 0_usize..5_000, parts in 0_usize..300) {
            let ranges = distribute(n, parts);
            prop_assert_eq!(ranges.len(), n.min(parts));
            let mut next = 0;
            for range in &ranges {
                prop_assert_eq!(range.start, next);
                next = range.end;
            }
            if parts > 0 {
                prop_assert_eq!(next, n);
            }
            let longest = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
            let shortest = ranges.iter().map(ExactSizeIterator::len).min().unwrap_or(0);
            prop_assert!(longest - shortest <= 1);
            prop_assert!(ranges.is_empty() || shortest >= 1);
        }
    }

    #[test]
    fn the_largest_number_of_items_does_not_overflow() {
        let ranges = distribute(usize::MAX, 3);
        assert_eq!(ranges.last().map(|range| range.end), Some(usize::MAX));
    }
}
