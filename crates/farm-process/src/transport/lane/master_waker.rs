//! The waker of a pool, by which workers wake the master when they have answered.
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
//! As with a worker's [parker](super::parker): if 3 comes before b, then c sees 2, and e changes the word after 1, so that 6
//! does not sleep, or wakes it; if b comes before 3, then 4 sees a. Of several workers that come to c at once, the
//! first that gets through d rings for all: what the others have written is there before their own d, and is seen by
//! who is woken, or by 4. A d that comes late, when there has been another 2 since its c, either undoes that 2, and then
//! e wakes who has said it, or is before it in the order of the changes of WHOM, and then hides it from nobody. The models
//! below go through the interleavings, with one worker and with two.
//!
//! A caller that gets its result and leaves says in WHOM that the service thread is to be woken, which has been asleep
//! all the while by the word that it had read before: that word has not changed since, or it is not asleep.
//!
//! All workers can write to this memory. One that runs wild can keep the others' answers waiting until the next beat of
//! the watch, and cannot do more.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::memory::{Memory, Word};
use crate::boundary::at_wake_step;

/// The numbers of the words: whom to wake, and what each sleeps by.
const WHOM: usize = 0;
const NOBODY: u32 = 0;

/// How many words there are.
pub(crate) const WORDS: usize = 3;

/// Who sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sleeper {
    ReceiverThread = 1,
    Caller = 2,
}

impl Sleeper {
    fn of(whom: u32) -> Option<Self> {
        [Self::ReceiverThread, Self::Caller].into_iter().find(|sleeper| *sleeper as u32 == whom)
    }
}

/// What the word of a sleeper was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(Sleeper, u32);

pub(crate) struct MasterWaker<M>(M);

impl<M: Memory> MasterWaker<M> {
    pub(crate) fn new(memory: M) -> Self {
        Self(memory)
    }

    pub(crate) fn memory(&self) -> &M {
        &self.0
    }

    /// Nobody is to be woken: whoever has the seat is awake.
    pub(crate) fn set_awake(&self) {
        self.0.word(WHOM).store(NOBODY, Ordering::Relaxed);
    }

    /// What will have changed when that one is rung for.
    pub(crate) fn ticket(&self, sleeper: Sleeper) -> Ticket {
        Ticket(sleeper, self.0.word(sleeper as usize).load(Ordering::Acquire))
    }

    /// From now on, that one is to be woken by answers. Says whether there are none: else this is taken back.
    pub(crate) fn announce_sleep(&self, sleeper: Sleeper, is_due: impl FnOnce() -> bool) -> bool {
        self.0.word(WHOM).store(sleeper as u32, Ordering::Relaxed);
        M::fence();
        if is_due() {
            self.set_awake();
            return false;
        }
        true
    }

    /// Sleeps until it is rung after the ticket was taken, or until the time is over.
    pub(crate) fn sleep(&self, Ticket(sleeper, word): Ticket, timeout: Option<Duration>) {
        self.0.wait(sleeper as usize, word, timeout);
    }

    /// Wakes who is to be woken, if anybody is. What it is to see has been written before.
    pub(crate) fn notify(&self) {
        M::fence();
        let whom = self.0.word(WHOM);
        if whom.load(Ordering::Relaxed) == NOBODY {
            return;
        }
        at_wake_step();
        if let Some(sleeper) = Sleeper::of(whom.swap(NOBODY, Ordering::AcqRel)) {
            at_wake_step();
            self.wake(sleeper);
            at_wake_step();
        }
    }

    /// As [`notify`](Self::notify), but only for a caller. Says whether the service thread is to be woken, which the ringer
    /// then owes it, unless somebody looks at the answer before.
    pub(crate) fn notify_caller(&self) -> bool {
        M::fence();
        match Sleeper::of(self.0.word(WHOM).load(Ordering::Relaxed)) {
            None => false,
            Some(Sleeper::ReceiverThread) => true,
            Some(Sleeper::Caller) => {
                self.notify();
                false
            }
        }
    }

    /// Wakes that one in any case.
    pub(crate) fn wake(&self, sleeper: Sleeper) {
        self.0.word(sleeper as usize).add(1, Ordering::Release);
        at_wake_step();
        self.0.wake(sleeper as usize);
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::Arc;

    use loom::sync::Mutex;
    use loom::thread::{JoinHandle, spawn};

    use super::super::memory::loomed::{Loomed, model};
    use super::*;

    type Ring = fn(&MasterWaker<Loomed>);

    /// Both ways to ring: the service thread is rung for at once, or is owed it, and paid.
    const RINGS: [Ring; 2] = [MasterWaker::notify, |waker| {
        if waker.notify_caller() {
            waker.notify();
        }
    }];

    fn ways() -> impl Iterator<Item = (Sleeper, Ring)> {
        let sleepers = [Sleeper::Caller, Sleeper::ReceiverThread].into_iter();
        sleepers.flat_map(|sleeper| RINGS.map(|ring| (sleeper, ring)))
    }

    /// A waker, and a count for each answer, which is 1 when it is there.
    struct Hall {
        waker: MasterWaker<Loomed>,
        answers: usize,
    }

    impl Hall {
        fn new(answers: usize) -> Arc<Self> {
            Arc::new(Self { waker: MasterWaker::new(Loomed::new(answers, WORDS, 0)), answers })
        }

        fn is_there(&self, answer: usize) -> bool {
            self.waker.memory().count(answer).load(Ordering::Acquire) == 1
        }

        fn there(&self) -> usize {
            (0..self.answers).filter(|answer| self.is_there(*answer)).count()
        }

        /// A worker gives these answers, and rings for each.
        fn worker(self: &Arc<Self>, answers: Range<usize>, ring: Ring) -> JoinHandle<()> {
            let ours = self.clone();
            spawn(move || {
                for answer in answers {
                    ours.waker.memory().count(answer).store(1, Ordering::Release);
                    ring(&ours.waker);
                }
            })
        }

        /// Hears all answers. Over one that is slept over this would sleep for ever, which the model checker reports.
        fn hear_all(&self, sleeper: Sleeper) {
            let mut heard = 0;
            while heard < self.answers {
                let ticket = self.waker.ticket(sleeper);
                if self.waker.announce_sleep(sleeper, || self.there() > heard) {
                    self.waker.sleep(ticket, None);
                    self.waker.set_awake();
                }
                heard = self.there();
            }
        }
    }

    #[test]
    fn nobody_sleeps_over_an_answer() {
        for (sleeper, ring) in ways() {
            model(3, move || {
                let hall = Hall::new(2);
                let worker = hall.worker(0..2, ring);
                hall.hear_all(sleeper);
                worker.join().unwrap();
            });
        }
    }

    #[test]
    fn of_two_workers_that_answer_at_once_neither_is_slept_over() {
        for (sleeper, ring) in ways() {
            model(3, move || {
                let hall = Hall::new(2);
                let workers = [hall.worker(0..1, ring), hall.worker(1..2, ring)];
                hall.hear_all(sleeper);
                workers.into_iter().for_each(|worker| worker.join().unwrap());
            });
        }
    }

    #[test]
    fn the_service_thread_hears_what_a_caller_leaves_behind() {
        model(2, || {
            let (hall, seat) = (Hall::new(2), Arc::new(Mutex::new(())));
            // It sleeps while a caller has the seat.
            let asleep = hall.waker.ticket(Sleeper::ReceiverThread);
            let (ours, theirs) = (hall.clone(), seat.clone());
            let taken = seat.lock().unwrap();
            let service = spawn(move || {
                let mut ticket = asleep;
                loop {
                    ours.waker.sleep(ticket, None);
                    let _seat = theirs.lock().unwrap();
                    ours.waker.set_awake();
                    ticket = ours.waker.ticket(Sleeper::ReceiverThread);
                    let heard = ours.there();
                    if heard == ours.answers {
                        return;
                    }
                    if !ours.waker.announce_sleep(Sleeper::ReceiverThread, || ours.there() > heard)
                    {
                        ours.waker.wake(Sleeper::ReceiverThread);
                    }
                }
            });
            let workers = [hall.worker(0..1, RINGS[1]), hall.worker(1..2, RINGS[1])];
            // The caller waits for its own answer alone.
            hall.waker.set_awake();
            let mut heard = hall.there();
            while !hall.is_there(0) {
                let ticket = hall.waker.ticket(Sleeper::Caller);
                if hall.waker.announce_sleep(Sleeper::Caller, || hall.there() > heard) {
                    hall.waker.sleep(ticket, None);
                    hall.waker.set_awake();
                }
                heard = hall.there();
            }
            let is_left =
                hall.waker.announce_sleep(Sleeper::ReceiverThread, || hall.there() > heard);
            if !is_left || heard == hall.answers {
                hall.waker.wake(Sleeper::ReceiverThread);
            }
            drop(taken);
            workers.into_iter().for_each(|worker| worker.join().unwrap());
            service.join().unwrap();
        });
    }
}
