//! The bell of a pool, by which workers wake the master when they have answered.
//!
//! Of the master's threads, one at a time looks after the answers: it has the *seat*. It is a caller that waits for its
//! result, or else the service thread. Who has the seat and is awake looks by itself, and need not be rung for. Who
//! goes to sleep says so, in the word `WHOM`, and is woken by a word of its own.
//!
//! ```text
//! whoever has the seat                         worker
//! 1  reads the word of who will sleep          a  writes the answer
//! 2  says in WHOM who is to be woken           b  fence
//! 3  fence                                     c  looks whom to wake; if anybody:
//! 4  looks once more for answers               d  says in WHOM that nobody need be woken again
//! 5  if there is one: says in WHOM that        e  changes the word of the sleeper, and wakes it
//!    nobody is to be woken, and goes on
//! 6  else that one sleeps until its word
//!    is no more what it was at 1
//! ```
//!
//! As with a worker's [bed](super::bed): if 3 comes before b, then c sees 2, and e changes the word after 1, so that 6
//! does not sleep, or wakes it; if b comes before 3, then 4 sees a. Of several workers that come to c at once, the
//! first that gets through d rings for all: what the others have written is there before their own d, and is seen by
//! who is woken, or by 4.
//!
//! A caller that gets its result and leaves says in WHOM that the service thread is to be woken, which has been asleep
//! all the while by the word that it had read before: that word has not changed since, or it is not asleep.
//!
//! All workers can write to this memory. One that runs wild can keep the others' answers waiting until the next beat of
//! the watch, and cannot do more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::memory::{Memory, Word};

/// The numbers of the words: whom to wake, and what each sleeps by.
const WHOM: usize = 0;
const NOBODY: u32 = 0;

/// How many words there are.
pub(crate) const WORDS: usize = 3;

/// Who sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleeper {
    Service = 1,
    Caller = 2,
}

impl Sleeper {
    fn of(whom: u32) -> Option<Self> {
        [Self::Service, Self::Caller].into_iter().find(|sleeper| *sleeper as u32 == whom)
    }
}

/// What the word of a sleeper was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(Sleeper, u32);

pub(crate) struct Bell<M>(M);

impl<M: Memory> Bell<M> {
    pub(crate) fn new(memory: M) -> Self {
        Self(memory)
    }

    pub(crate) fn memory(&self) -> &M {
        &self.0
    }

    /// Nobody is to be woken: whoever has the seat is awake.
    pub(crate) fn is_looked_after(&self) {
        self.0.word(WHOM).store(NOBODY, Ordering::Relaxed);
    }

    /// What will have changed when that one is rung for.
    pub(crate) fn ticket(&self, sleeper: Sleeper) -> Ticket {
        Ticket(sleeper, self.0.word(sleeper as usize).load(Ordering::Acquire))
    }

    /// From now on, that one is to be woken by answers. Says whether there are none: else this is taken back.
    pub(crate) fn is_to_wake(&self, sleeper: Sleeper, is_due: impl FnOnce() -> bool) -> bool {
        self.0.word(WHOM).store(sleeper as u32, Ordering::Relaxed);
        M::fence();
        if is_due() {
            self.is_looked_after();
            return false;
        }
        true
    }

    /// Sleeps until it is rung after the ticket was taken, or until the time is over.
    pub(crate) fn sleep(&self, Ticket(sleeper, word): Ticket, timeout: Option<Duration>) {
        self.0.wait(sleeper as usize, word, timeout);
    }

    /// Wakes who is to be woken, if anybody is. What it is to see has been written before.
    pub(crate) fn ring(&self) {
        M::fence();
        let whom = self.0.word(WHOM);
        if whom.load(Ordering::Relaxed) == NOBODY {
            return;
        }
        if let Some(sleeper) = Sleeper::of(whom.swap(NOBODY, Ordering::AcqRel)) {
            self.wake(sleeper);
        }
    }

    /// As [`ring`](Self::ring), but only for a caller. Says whether the service thread is to be woken, which the ringer
    /// then owes it, unless somebody looks at the answer before.
    pub(crate) fn ring_for_caller(&self) -> bool {
        M::fence();
        match Sleeper::of(self.0.word(WHOM).load(Ordering::Relaxed)) {
            None => false,
            Some(Sleeper::Service) => true,
            Some(Sleeper::Caller) => {
                self.ring();
                false
            }
        }
    }

    /// Wakes that one in any case.
    pub(crate) fn wake(&self, sleeper: Sleeper) {
        self.0.word(sleeper as usize).add(1, Ordering::Release);
        self.0.wake(sleeper as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::memory::loomed::{Loomed, model};
    use super::*;

    #[test]
    fn nobody_sleeps_over_an_answer() {
        model(|| {
            let bell = Arc::new(Bell::new(Loomed::new(2, WORDS, 0)));
            let ours = bell.clone();
            let worker = loom::thread::spawn(move || {
                for n in 0..2 {
                    ours.memory().count(n).store(1, Ordering::Release);
                    ours.ring();
                }
            });
            let answers =
                || (0..2).filter(|n| bell.memory().count(*n).load(Ordering::Acquire) == 1).count();
            // A lost wake-up would leave this thread asleep for ever, which the model reports.
            let mut seen = 0;
            while seen < 2 {
                let ticket = bell.ticket(Sleeper::Caller);
                if bell.is_to_wake(Sleeper::Caller, || answers() > seen) {
                    bell.sleep(ticket, None);
                    bell.is_looked_after();
                }
                seen = answers();
            }
            worker.join().unwrap();
        });
    }

    #[test]
    fn the_service_thread_sees_what_a_caller_leaves_behind() {
        model(|| {
            let bell = Arc::new(Bell::new(Loomed::new(1, WORDS, 0)));
            let is_answered =
                |bell: &Bell<Loomed>| bell.memory().count(0).load(Ordering::Acquire) == 1;
            let ours = bell.clone();
            // It sleeps while a caller has the seat.
            let ticket = bell.ticket(Sleeper::Service);
            let service = loom::thread::spawn(move || {
                ours.sleep(ticket, None);
            });
            let ours = bell.clone();
            let worker = loom::thread::spawn(move || {
                ours.memory().count(0).store(1, Ordering::Release);
                ours.ring();
            });
            bell.is_looked_after();
            // The caller leaves. What it finds then it would hear itself, and try again; here the other is told instead.
            if !bell.is_to_wake(Sleeper::Service, || is_answered(&bell)) {
                bell.wake(Sleeper::Service);
            }
            worker.join().unwrap();
            service.join().unwrap();
        });
    }
}
