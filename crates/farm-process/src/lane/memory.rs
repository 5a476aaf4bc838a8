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
    fn mark(&self, at: usize) -> &Self::Word;

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
    ($count:ty, $word:ty) => {
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

        impl Word for $word {
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
    };
}

implement!(AtomicU64, AtomicU32);

/// For the model checker.
#[cfg(test)]
pub(super) mod loomed {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::{AtomicU32, AtomicU64};

    use super::super::ring::LINE;
    use loom::sync::Mutex;

    use super::*;

    /// Goes through all interleavings with up to three preemptions, which is where mistakes are found.
    pub(crate) fn model(body: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.max_branches = 20_000;
        builder.check(body);
    }

    pub(crate) struct Loomed {
        counts: Vec<AtomicU64>,
        words: Vec<AtomicU32>,
        /// One for each line of the bytes, beside them.
        marks: Vec<AtomicU32>,
        bytes: Vec<UnsafeCell<u8>>,
        /// The kernel's lock, under which it counts how often somebody was woken.
        kernel: Mutex<u64>,
    }

    // SAFETY: the cells find every access that is not ordered with another.
    unsafe impl Sync for Loomed {}

    impl Loomed {
        pub(crate) fn new(counts: usize, words: usize, bytes: usize) -> Self {
            Self {
                counts: (0..counts).map(|_| AtomicU64::new(0)).collect(),
                words: (0..words).map(|_| AtomicU32::new(0)).collect(),
                marks: (0..bytes / LINE).map(|_| AtomicU32::new(0)).collect(),
                bytes: (0..bytes).map(|_| UnsafeCell::new(0)).collect(),
                kernel: Mutex::new(0),
            }
        }
    }

    impl Memory for Loomed {
        type Count = AtomicU64;
        type Word = AtomicU32;

        fn count(&self, n: usize) -> &AtomicU64 {
            &self.counts[n]
        }

        fn word(&self, n: usize) -> &AtomicU32 {
            &self.words[n]
        }

        fn mark(&self, at: usize) -> &AtomicU32 {
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
            // As futex(2) does, under the lock under which it is woken. There is no time in a model: who is never
            // woken looks on for ever, which the model checker reports.
            let looked = self.kernel.lock().unwrap();
            if self.words[n].load(Ordering::Relaxed) != value {
                return;
            }
            let begin = *looked;
            drop(looked);
            while *self.kernel.lock().unwrap() == begin {
                loom::thread::yield_now();
            }
        }

        fn wake(&self, _: usize) {
            *self.kernel.lock().unwrap() += 1;
        }
    }

    implement!(AtomicU64, AtomicU32);
}
