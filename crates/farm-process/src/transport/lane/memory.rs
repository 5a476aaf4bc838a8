//! Memory that processes share: counts and words, which all sides use at once, and bytes, which
//! belong to one side at a time.
//!
//! The protocols of this module are written against these traits, so that the same code runs on
//! shared memory and in a model checker. The tables in `layout.rs` and `master_waker.rs` tell which
//! side writes each count and word, and which side reads it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Counts and words are named by number. No two of them share a line of the cache.
pub(crate) trait Memory {
    type Count: Count;
    type Word: Word;

    fn count(&self, n: usize) -> &Self::Count;

    fn word(&self, n: usize) -> &Self::Word;

    /// The word that is the first of the line of the cache at byte `at`: a length word of a ring
    /// buffer. The writer of the ring writes it, and the reader reads it.
    fn word_at(&self, at: usize) -> &Self::Word;

    /// Copies bytes into the memory.
    ///
    /// # Safety
    ///
    /// No other thread or process uses these bytes during the call.
    unsafe fn put(&self, at: usize, bytes: &[u8]);

    /// Copies bytes out of the memory.
    ///
    /// # Safety
    ///
    /// No side that keeps to the protocol writes to these bytes during the call.
    unsafe fn get(&self, at: usize, bytes: &mut [u8]);

    /// A sequentially consistent fence: all of them, in all threads and processes, have one order.
    fn fence();

    /// Sleeps while word `n` has this value, until it is woken or the timeout has passed. May
    /// return for no reason.
    fn wait(&self, n: usize, value: u32, timeout: Option<Duration>);

    /// Wakes a thread that sleeps by word `n`.
    fn wake(&self, n: usize);
}

/// 64 bits that several sides load and change.
pub(crate) trait Count {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// Stores `new` if the value is `current`, with acquire and release; otherwise returns the
    /// value, with acquire.
    fn exchange(&self, current: u64, new: u64) -> Result<(), u64>;
}

/// 32 bits that several sides load and change, and by which a thread can sleep.
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

/// Memory for the model checker.
#[cfg(test)]
pub(super) mod loomed {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::{AtomicU32, AtomicU64};

    use loom::sync::{Condvar, Mutex};

    use super::super::ring::LINE;
    use super::*;

    /// Runs `body` in all interleavings that have at most so many preemptions.
    pub(crate) fn model(preemptions: usize, body: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        builder.max_branches = 20_000;
        builder.check(body);
    }

    pub(crate) struct Loomed {
        counts: Vec<AtomicU64>,
        words: Vec<Changes>,
        /// The length words, one for each line of the bytes. They are not part of `bytes`.
        marks: Vec<Changes>,
        bytes: Vec<UnsafeCell<u8>>,
        /// Stands for the lock of the kernel under which threads go to sleep and are woken.
        kernel: Mutex<()>,
        /// The threads that sleep by each word.
        sleepers: Vec<Condvar>,
    }

    // SAFETY: the cells of loom detect every access that is not ordered with another one.
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
                // SAFETY: the caller promises that nobody else uses the byte, and loom checks it.
                cell.with_mut(|place| unsafe { *place = *byte });
            }
        }

        unsafe fn get(&self, at: usize, bytes: &mut [u8]) {
            for (cell, byte) in self.bytes[at..at + bytes.len()].iter().zip(bytes) {
                // SAFETY: the caller promises that nobody writes to the byte, and loom checks it.
                cell.with(|place| unsafe { *byte = *place });
            }
        }

        fn fence() {
            loom::sync::atomic::fence(Ordering::SeqCst);
        }

        fn wait(&self, n: usize, value: u32, _: Option<Duration>) {
            // As in futex(2), the word is compared under the lock under which threads are woken.
            // There is no time in a model: if a thread that sleeps is never woken, the model
            // checker reports a deadlock.
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

    /// A word whose changes have one order: the order in which the model makes them.
    ///
    /// loom does not know that nothing comes between the load and the store of a swap. Let one
    /// thread store 1, let a second one swap in 0 and find the 1, and let the first one then store
    /// 2. The 0 follows the 1 directly, so the 2 comes after the 0. For loom, the 0 and the 2 are
    /// not ordered: a third thread could load the 0 after fences that show it the 2. So a store is
    /// a swap here. A thread can still load a value that is as old as the orderings allow.
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
