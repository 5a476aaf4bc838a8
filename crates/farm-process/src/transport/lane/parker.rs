//! How a worker sleeps while it waits for its master, and how the master wakes it.
//!
//! A worker waits for something that the master writes to the lane: a record, the tail of the ring
//! up, or `LONG_ROOM`. It must not sleep once that is written. The master should not wake a worker
//! that is awake, because that costs a system call.
//!
//! ```text
//!    worker that sleeps                        master that wakes it
//! 1  stores ASLEEP in the word                 a  writes the record (release)
//! 2  fence                                     b  fence
//! 3  looks for the record (acquire)            c  loads the word; stops if it is AWAKE
//! 4  if there is none: sleeps while the        d  swaps AWAKE into the word; stops if the
//!    word is ASLEEP                               word was AWAKE
//! 5  stores AWAKE in the word                  e  wakes the thread that sleeps by the word
//! ```
//!
//! Steps 1, 5, c and d are relaxed; the fences order them. No wake-up is lost. For the proof, take
//! a worker that has come to step 4 and that does not wake any more, and a record that it had not
//! found at step 3. The fences 2 and b are sequentially consistent, so one of them comes first.
//!
//! - If b came before 2, step 3 would see a, because fence b pairs with fence 2. So 2 comes before
//!   b.
//! - Fence 2 therefore pairs with fence b: step c sees the store of step 1, or a later value of the
//!   word. The worker does not come to step 5, so only a step d can change the word after step 1.
//!   If c finds AWAKE, the d of another wake-up has found the ASLEEP of step 1. Otherwise the d of
//!   this wake-up finds it, or again that of another one.
//! - In each case a d has changed the word after step 1, and e follows. If d comes before the
//!   kernel compares the word at step 4, the worker does not sleep. If d comes later, e wakes it:
//!   the kernel compares the word under the lock under which it wakes threads. So the worker wakes
//!   after all.
//!
//! The worker may wake for no reason, so it calls [`Parker::sleep`] in a loop. The test below goes
//! through the interleavings with at most three preemptions.

use std::sync::atomic::Ordering;

use super::memory::{Memory, Word};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// The number of the word by which the worker sleeps. Both sides read and write it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parker(pub(super) usize);

impl Parker {
    /// Sleeps until the master wakes the worker, unless `is_due` returns `true` (steps 1 to 5). May
    /// return for no reason.
    pub(super) fn sleep<M: Memory>(self, memory: &M, is_due: impl FnOnce() -> bool) {
        memory.word(self.0).store(ASLEEP, Ordering::Relaxed);
        M::fence();
        if !is_due() {
            memory.wait(self.0, ASLEEP, None);
        }
        memory.word(self.0).store(AWAKE, Ordering::Relaxed);
    }

    /// Wakes the worker if it sleeps (steps b to e). The caller has already written the record.
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
            // If a wake-up were lost, this thread would sleep for ever, which the model checker
            // reports.
            for n in 1..=2 {
                while memory.count(0).load(Ordering::Acquire) < n {
                    Parker(0).sleep(&*memory, || memory.count(0).load(Ordering::Acquire) >= n);
                }
            }
            waker.join().unwrap();
        });
    }
}
