//! Decides how many items go into a batch: as many as a worker runs in about [`TARGET`], by the
//! time that earlier items have taken.

use std::time::Duration;

/// The time that a worker is to take for a batch. It is so long that the cost of a message does not
/// count, and so short that no worker waits long for another at the end.
const TARGET: Duration = Duration::from_millis(1);

/// The least number of batches into which the rest of the items is divided for each worker, if it
/// is known how many items are left.
pub(crate) const PARTS: usize = 4;

/// The weight of a new measurement in the average.
const WEIGHT: f64 = 0.25;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// The average time that an item takes, in nanoseconds; `None` until the first items are back.
    per_item: Option<f64>,
    /// The number of items in the last batch.
    last: usize,
}

impl Pace {
    /// Notes that a worker has taken `time` for so many items.
    pub(crate) fn took(&mut self, time: Duration, items: usize) {
        let took = time.as_nanos() as f64 / items.max(1) as f64;
        let new = self.per_item.map_or(took, |former| former + WEIGHT * (took - former));
        self.per_item = Some(new);
    }

    /// Returns how many items to put into the next batch. `left` is how many items are left, if it
    /// is known.
    pub(crate) fn next(&mut self, left: Option<usize>, workers: usize) -> usize {
        // One item at a time until a time is known, and then at most twice as many as in the last
        // batch.
        let wanted = self.per_item.map_or(1, |took| {
            let fit = TARGET.as_nanos() as f64 / took.max(1.0);
            (fit as usize).min(2 * self.last)
        });
        let share = left.map_or(usize::MAX, |left| left.div_ceil(PARTS * workers.max(1)));
        self.last = wanted.min(share).max(1);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_the_time_that_is_aimed_at() {
        let mut pace = Pace::default();
        assert_eq!([(); 3].map(|()| pace.next(None, 2)), [1, 1, 1]);
        for expected in [2, 4, 8, 10, 10] {
            pace.took(TARGET / 10, 1);
            assert_eq!(pace.next(None, 2), expected);
        }
        // Items that take long.
        (0..20).for_each(|_| pace.took(3 * TARGET, 1));
        assert_eq!(pace.next(None, 2), 1);
    }

    #[test]
    fn each_worker_has_some_parts_of_what_is_left() {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.took(Duration::from_nanos(1), 1);
            pace.next(None, 2);
        }
        assert_eq!([80, 8, 7, 1, 0].map(|left| pace.next(Some(left), 2)), [10, 1, 1, 1, 1]);
    }
}
