//! Divides the items of a task that was sent ahead between the worker and the master. The worker
//! takes up one item after the other from the front. The master steals items from the end, to give
//! them to another worker or to cancel them.
//!
//! ```text
//!   items   0 ──────────── next ─────────────────── limit ──────────── sent
//!              taken up               offered                stolen
//! ```
//!
//! `next` and `limit` lie in one count of the lane, with a tag that tells to which task the count
//! belongs at present. The master stores the count when it offers the items, before it writes the
//! record that names the claim. From then on, both sides read the count, and change it by compare
//! and exchange: the worker raises `next`, and the master lowers `limit`. So no item goes to both.
//!
//! All items of a task may have been stolen, and its count may belong to another task, before the
//! worker comes to the first task. The worker then finds another tag and takes nothing.
//!
//! An exchange acquires and releases, and a load acquires. So a master that sees that an item is
//! taken up also sees the answers that the worker wrote before it took up the item.

use super::memory::{Count, Memory};

/// The most items that a task can have.
pub(crate) const MOST_ITEMS: u32 = (1 << BITS) - 1;
const BITS: u32 = 24;

/// The claim on the items of one task. The record that sends the task names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RangeClaim {
    /// The number of the count in the lane.
    pub(super) n: usize,
    /// Tells apart the tasks that use this count one after the other.
    pub(super) tag: u16,
}

#[derive(Clone, Copy)]
struct State {
    tag: u16,
    next: u32,
    limit: u32,
}

impl State {
    fn of(count: u64) -> Self {
        let mask = u64::from(MOST_ITEMS);
        Self {
            tag: (count >> (2 * BITS)) as u16,
            next: (count >> BITS & mask) as u32,
            limit: (count & mask) as u32,
        }
    }

    fn count(self) -> u64 {
        u64::from(self.tag) << (2 * BITS) | u64::from(self.next) << BITS | u64::from(self.limit)
    }
}

impl RangeClaim {
    /// The master offers the items of a task to the worker.
    pub(super) fn offer(self, memory: &impl Memory, items: u32) {
        let state = State { tag: self.tag, next: 0, limit: items };
        // The worker learns of the claim by the record that sends the task. That record is released
        // after this store, and the worker acquires it.
        memory.count(self.n).store(state.count(), std::sync::atomic::Ordering::Release);
    }

    /// The worker takes up the next item; `None` if no item is left for it.
    pub(super) fn take_up(self, memory: &impl Memory) -> Option<u32> {
        let taken = |state: State| {
            (state.next < state.limit).then_some(State { next: state.next + 1, ..state })
        };
        self.change(memory, taken).map(|former| former.next)
    }

    /// The master steals the items that are not taken up, or half of them, rounded up. Returns the
    /// first stolen item; `None` if no item was left.
    pub(super) fn steal(self, memory: &impl Memory, half: bool) -> Option<u32> {
        let limit = |state: State| {
            let left = state.limit.saturating_sub(state.next);
            let taken = if half { left.div_ceil(2) } else { left };
            (taken > 0).then_some(State { limit: state.limit - taken, ..state })
        };
        let former = self.change(memory, limit)?;
        limit(former).map(|state| state.limit)
    }

    /// Changes the state, if it has the tag of this claim and `change` returns a new state. Returns
    /// the state before the change; `None` if there was no change.
    fn change(
        self,
        memory: &impl Memory,
        change: impl Fn(State) -> Option<State>,
    ) -> Option<State> {
        let count = memory.count(self.n);
        let mut seen = count.load(std::sync::atomic::Ordering::Acquire);
        loop {
            let former = State::of(seen);
            let new = (former.tag == self.tag).then(|| change(former)).flatten()?;
            match count.exchange(seen, new.count()) {
                Ok(()) => return Some(former),
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::memory::loomed::Loomed;
    use super::*;

    #[test]
    fn an_item_is_taken_up_or_taken_back_and_never_both() {
        loom::model(|| {
            let memory = Arc::new(Loomed::new(1, 0, 0));
            let claim = RangeClaim { n: 0, tag: 7 };
            claim.offer(&*memory, 3);
            let ours = memory.clone();
            let worker = loom::thread::spawn(move || {
                std::iter::from_fn(|| claim.take_up(&*ours)).collect::<Vec<_>>()
            });
            let half = claim.steal(&*memory, true).unwrap_or(3);
            let rest = claim.steal(&*memory, false).unwrap_or(half);
            assert!(rest <= half && half <= 3);
            let taken_up = worker.join().unwrap();
            assert_eq!(taken_up, (0..rest).collect::<Vec<_>>());
        });
    }

    #[test]
    fn a_count_that_is_used_again_gives_nothing_to_who_comes_late() {
        loom::model(|| {
            let memory = Arc::new(Loomed::new(1, 0, 0));
            let (early, late) = (RangeClaim { n: 0, tag: 1 }, RangeClaim { n: 0, tag: 2 });
            early.offer(&*memory, 1);
            let ours = memory.clone();
            let worker = loom::thread::spawn(move || early.take_up(&*ours));
            if early.steal(&*memory, false).is_some() {
                late.offer(&*memory, 1);
                assert_eq!(worker.join().unwrap(), None);
                assert_eq!(late.take_up(&*memory), Some(0));
            } else {
                assert_eq!(worker.join().unwrap(), Some(0));
            }
        });
    }
}
