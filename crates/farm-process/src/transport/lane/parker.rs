//! How a worker goes to sleep, and is woken.
//!
//! It waits for what its master writes to their lane. It must not sleep while there is something, and should not be
//! woken when it is awake, since that costs a call of the system.
//!
//! ```text
//! sleeper                                  waker
//! 1  says that it sleeps                   a  writes the record
//! 2  fence                                 b  fence
//! 3  looks once more; if nothing is there: c  looks whether it sleeps; if so:
//! 4  sleeps until the word changes         d  says that it is awake, and wakes it
//! ```
//!
//! The fences are ordered. If 2 comes before b, then c sees 1, and d follows: before 4, which then does not sleep
//! because the word has changed, or after, which wakes it. If b comes before 2, then 3 sees a. So no record is slept
//! over. The model below goes through all interleavings.

use std::sync::atomic::Ordering;

use super::memory::{Memory, Word};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// The number of the word by which one side sleeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parker(pub(super) usize);

impl Parker {
    /// Sleeps, unless `is_due`; may wake for no reason.
    pub(super) fn sleep<M: Memory>(self, memory: &M, is_due: impl FnOnce() -> bool) {
        memory.word(self.0).store(ASLEEP, Ordering::Relaxed);
        M::fence();
        if !is_due() {
            memory.wait(self.0, ASLEEP, None);
        }
        memory.word(self.0).store(AWAKE, Ordering::Relaxed);
    }

    /// Wakes who sleeps. What it is to see has been written before.
    pub(super) fn wake<M: Memory>(self, memory: &M) {
        M::fence();
        let word = memory.word(self.0);
        if word.load(Ordering::Relaxed) == ASLEEP && word.swap(AWAKE, Ordering::Relaxed) == ASLEEP {
            memory.wake(self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::memory::loomed::{Loomed, model};
    use super::*;

    #[test]
    fn nobody_sleeps_over_a_record() {
        model(3, || {
            let memory = Arc::new(Loomed::new(1, 1, 0));
            let ours = memory.clone();
            let waker = loom::thread::spawn(move || {
                for n in 1..=2 {
                    ours.count(0).store(n, Ordering::Release);
                    Parker(0).wake(&*ours);
                }
            });
            // A lost wake-up would leave this thread asleep for ever, which the model reports.
            for n in 1..=2 {
                while memory.count(0).load(Ordering::Acquire) < n {
                    Parker(0).sleep(&*memory, || memory.count(0).load(Ordering::Acquire) >= n);
                }
            }
            waker.join().unwrap();
        });
    }
}
