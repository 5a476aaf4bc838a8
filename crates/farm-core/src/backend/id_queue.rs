//! A map by the ids of tasks, ordered by id.
//!
//! Ids grow, and tasks finish roughly in the order of submission. So most entries are added at the
//! end and removed near the front, and an entry that is looked for is near the front too. In a
//! queue it is found in a few steps, however long the queue is; in a hash table of a hundred
//! thousand tasks, each access misses the cache.

use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct IdQueue<K, T> {
    /// Sorted by key. An entry that is removed from the middle leaves a gap; the first and the last
    /// entry are never gaps.
    entries: VecDeque<(K, Option<T>)>,
    /// The number of entries that are not gaps.
    len: usize,
}

impl<K, T> Default for IdQueue<K, T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), len: 0 }
    }
}

impl<K: Copy + Ord, T> IdQueue<K, T> {
    /// Adds an entry whose key is not in the map.
    #[inline]
    pub(crate) fn insert(&mut self, key: K, item: T) {
        self.len += 1;
        let entry = (key, Some(item));
        if self.entries.back().is_none_or(|(last, _)| *last < key) {
            return self.entries.push_back(entry);
        }
        match self.find(key) {
            Ok(at) => self.entries[at] = entry,
            Err(at) => self.entries.insert(at, entry),
        }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let at = self.find(key).ok()?;
        self.entries[at].1.as_mut()
    }

    #[inline]
    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let at = self.find(key).ok()?;
        self.take(at)
    }

    /// Removes the entries whose keys fulfil `is_it`. These must be adjacent, and not before
    /// `first`.
    pub(crate) fn remove_from(&mut self, first: K, is_it: impl Fn(K) -> bool) -> Vec<T> {
        let (Ok(at) | Err(at)) = self.find(first);
        let is_it = |(key, _): &&(K, Option<T>)| is_it(*key);
        let count = self.entries.range(at..).take_while(is_it).count();
        let range = self.entries.range_mut(at..at + count);
        let taken: Vec<_> = range.filter_map(|(_, item)| item.take()).collect();
        self.tidy(taken.len());
        taken
    }

    #[inline]
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.take(0)
    }

    /// The smallest key.
    pub(crate) fn first(&self) -> Option<K> {
        self.entries.front().map(|(key, _)| *key)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The position of the key, or the one at which it would be inserted. The search doubles its
    /// steps from the front, and then halves the range.
    fn find(&self, key: K) -> Result<usize, usize> {
        if self.first() == Some(key) {
            return Ok(0);
        }
        let mut end = 1;
        while self.entries.get(end - 1).is_some_and(|(other, _)| *other < key) {
            end *= 2;
        }
        let (start, end) = (end / 2, end.min(self.entries.len()));
        let (mut low, mut high) = (start.min(end), end);
        while low < high {
            let middle = low.midpoint(high);
            if self.entries[middle].0 < key { low = middle + 1 } else { high = middle }
        }
        match self.entries.get(low) {
            Some((other, _)) if *other == key => Ok(low),
            _ => Err(low),
        }
    }

    fn take(&mut self, at: usize) -> Option<T> {
        let item = self.entries.get_mut(at)?.1.take()?;
        self.tidy(1);
        Some(item)
    }

    /// Counts removed entries, and removes gaps at both ends.
    fn tidy(&mut self, taken: usize) {
        self.len -= taken;
        while let Some((_, None)) = self.entries.front() {
            self.entries.pop_front();
        }
        while let Some((_, None)) = self.entries.back() {
            self.entries.pop_back();
        }
        // This leaves at most 16 more gaps than other entries, so a queue that is emptied step by
        // step stays small.
        if self.entries.len() > 2 * self.len + 16 {
            self.entries.retain(|(_, item)| item.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::IdQueue;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u8),
        Remove(u8),
        RemoveTens(u8),
        Pop,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<u8>().prop_map(Step::Insert),
            2 => any::<u8>().prop_map(Step::Remove),
            1 => (0..26_u8).prop_map(Step::RemoveTens),
            1 => Just(Step::Pop),
        ]
    }

    proptest! {
        #[test]
        fn it_does_as_a_sorted_map(steps in prop::collection::vec(step(), 0..300)) {
            let (mut ours, mut model) = (IdQueue::default(), BTreeMap::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(key) if model.contains_key(&key) => {
                        prop_assert_eq!(ours.get_mut(key), model.get_mut(&key));
                    }
                    Step::Insert(key) => {
                        ours.insert(key, n);
                        model.insert(key, n);
                    }
                    Step::Remove(key) => prop_assert_eq!(ours.remove(key), model.remove(&key)),
                    Step::RemoveTens(tens) => {
                        let taken = ours.remove_from(tens * 10, |key| key / 10 == tens);
                        let expected: Vec<_> = model.extract_if(tens * 10..=tens.saturating_mul(10).saturating_add(9), |_, _| true).map(|(_, n)| n).collect();
                        prop_assert_eq!(taken, expected);
                    }
                    Step::Pop => prop_assert_eq!(ours.pop(), model.pop_first().map(|(_, n)| n)),
                }
                prop_assert_eq!(ours.first(), model.keys().next().copied());
                prop_assert_eq!((ours.len(), ours.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(ours.entries.len() <= 2 * ours.len() + 16);
            }
        }
    }
}
