//! How many items go into a batch: as many as take a worker about [`TARGET`], by what those before have taken.

use std::time::Duration;

/// Long enough that the cost of a message does not count, and short enough that no worker waits long for another at the
/// end.
const TARGET: Duration = Duration::from_millis(1);

/// Of how many parts the work of each worker consists, at least, where it is known how much there is.
pub(crate) const PARTS: usize = 4;

/// How much a new figure counts.
const WEIGHT: f64 = 0.25;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    /// What an item takes, in nanoseconds; `None` as long as none has come back.
    per_item: Option<f64>,
    /// How many items were put into the last batch.
    last: usize,
}

impl Pace {
    /// So many items have taken a worker so long.
    pub(crate) fn took(&mut self, time: Duration, items: usize) {
        let took = time.as_nanos() as f64 / items.max(1) as f64;
        let new = self.per_item.map_or(took, |former| former + WEIGHT * (took - former));
        self.per_item = Some(new);
    }

    /// How many items to put into the next batch, of which at least `left` are left, where that is known.
    pub(crate) fn next(&mut self, left: Option<usize>, workers: usize) -> usize {
        // One at a time until something is known, and then not much more than was tried before.
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
        // Some that take long.
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
