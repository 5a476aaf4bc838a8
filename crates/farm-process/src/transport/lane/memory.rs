//! Memory that processes share: counts and words that all use at once, and bytes that belong to one at a time.
//!
//! The protocols of this module are written against these traits, so that the same code runs on shared memory and in a
//! model checker.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Counts and words are named by number; none shares a line of the cache with another.
pub(crate) trait Memory {
    type Count: Count;
    type Word: Word;

    fn count(&self, n: usize) -> &Self::Count;

    fn word(&self, n: usize) -> &Self::Word;

    /// The word that lies among the bytes at that place, with which a line begins.
    fn word_at(&self, at: usize) -> &Self::Word;

    /// Copies bytes in.
    ///
    /// # Safety
    ///
    /// Nobody else uses these bytes meanwhile.
    unsafe fn put(&self, at: usize, bytes: &[u8]);

    /// Copies bytes out.
    ///
    /// # Safety
    ///
    /// No partner that keeps to the protocol writes to these bytes meanwhile.
    unsafe fn get(&self, at: usize, bytes: &mut [u8]);

    /// A fence that is ordered with all others, on all processors.
    fn fence();

    /// Sleeps while word `n` is `value`, until it is woken or the time is over. It may wake for no reason.
    fn wait(&self, n: usize, value: u32, timeout: Option<Duration>);

    /// Wakes who sleeps by word `n`.
    fn wake(&self, n: usize);
}

pub(crate) trait Count {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// Returns what is there instead, if it is not `current`.
    fn exchange(&self, current: u64, new: u64) -> Result<(), u64>;
}

pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    fn add(&self, value: u32, order: Ordering) -> u32;
}

macro_rules! implement {
    ($count:ty) => {
        impl Count for $count {
            fn load(&self, order: Ordering) -> u64 {
                self.load(order)
            }

            fn store(&self, value: u64, order: Ordering) {
                self.store(value, order);
            }

            fn exchange(&self, current: u64, new: u64) -> Result<(), u64> {
                let (done, seen) = (Ordering::AcqRel, Ordering::Acquire);
                self.compare_exchange(current, new, done, seen).map(drop)
            }
        }
    };
}

implement!(AtomicU64);

impl Word for AtomicU32 {
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.swap(value, order)
    }

    fn add(&self, value: u32, order: Ordering) -> u32 {
        self.fetch_add(value, order)
    }
}

/// For the model checker.
#[cfg(test)]
pub(super) mod loomed {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::{AtomicU32, AtomicU64};

    use loom::sync::{Condvar, Mutex};

    use super::super::ring::LINE;
    use super::*;

    /// Goes through all interleavings with up to so many preemptions.
    pub(crate) fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 20_000;
        builder.check(body);
    }

    pub(crate) struct Loomed {
        counts: Vec<AtomicU64>,
        words: Vec<Changes>,
        /// One for each line of the bytes, beside them.
        marks: Vec<Changes>,
        bytes: Vec<UnsafeCell<u8>>,
        /// The kernel's lock, and who sleeps by each word.
        kernel: Mutex<()>,
        sleepers: Vec<Condvar>,
    }

    // SAFETY: the cells find every access that is not ordered with another.
    unsafe impl Sync for Loomed {}

    impl Loomed {
        pub(crate) fn new(counts: usize, words: usize, bytes: usize) -> Self {
            Self {
                counts: (0..counts).map(|_| AtomicU64::new(0)).collect(),
                words: (0..words).map(|_| Changes(AtomicU32::new(0))).collect(),
                marks: (0..bytes / LINE).map(|_| Changes(AtomicU32::new(0))).collect(),
                bytes: (0..bytes).map(|_| UnsafeCell::new(0)).collect(),
                kernel: Mutex::new(()),
                sleepers: (0..words).map(|_| Condvar::new()).collect(),
            }
        }
    }

    impl Memory for Loomed {
        type Count = AtomicU64;
        type Word = Changes;

        fn count(&self, n: usize) -> &AtomicU64 {
            &self.counts[n]
        }

        fn word(&self, n: usize) -> &Changes {
            &self.words[n]
        }

        fn word_at(&self, at: usize) -> &Changes {
            assert_eq!(at % LINE, 0);
            &self.marks[at / LINE]
        }

        unsafe fn put(&self, at: usize, bytes: &[u8]) {
            for (cell, byte) in self.bytes[at..at + bytes.len()].iter().zip(bytes) {
                // SAFETY: as the caller promises, and loom checks.
                cell.with_mut(|place| unsafe { *place = *byte });
            }
        }

        unsafe fn get(&self, at: usize, bytes: &mut [u8]) {
            for (cell, byte) in self.bytes[at..at + bytes.len()].iter().zip(bytes) {
                // SAFETY: as the caller promises, and loom checks.
                cell.with(|place| unsafe { *byte = *place });
            }
        }

        fn fence() {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }

        fn wait(&self, n: usize, value: u32, _: Option<Duration>) {
            // As futex(2) does, under the lock under which it is woken. There is no time in a model: if who sleeps is
            // never woken, the model checker reports that nobody can go on.
            let kernel = self.kernel.lock().unwrap();
            if self.words[n].load(Ordering::Relaxed) == value {
                drop(self.sleepers[n].wait(kernel).unwrap());
            }
        }

        fn wake(&self, n: usize) {
            let _kernel = self.kernel.lock().unwrap();
            self.sleepers[n].notify_one();
        }
    }

    implement!(AtomicU64);

    /// A word of which the changes are in the one order in which the model makes them.
    ///
    /// loom does not know that nothing comes between what a swap reads and what it writes. After a swap of 1 for 0, a
    /// store of 2 by the thread that had stored the 1 is later than the 0; loom takes the two for unordered, and would
    /// let a third thread read the 0 behind fences that show it the 2. So stores are swaps here. What a thread loads
    /// can still be as old as the orderings allow.
    pub(crate) struct Changes(AtomicU32);

    impl Word for Changes {
        fn load(&self, order: Ordering) -> u32 {
            self.0.load(order)
        }

        fn store(&self, value: u32, order: Ordering) {
            self.0.swap(value, order);
        }

        fn swap(&self, value: u32, order: Ordering) -> u32 {
            self.0.swap(value, order)
        }

        fn add(&self, value: u32, order: Ordering) -> u32 {
            self.0.fetch_add(value, order)
        }
    }
}
