//! The waker of a pool, by which workers wake the master after they have answered.
//!
//! One thread of the master at a time is the *receiver*: a caller that waits for its result, or
//! otherwise the receiver thread. A receiver that is awake looks for answers by itself and need not
//! be woken. Before a receiver goes to sleep, it announces in the word `WHOM` which thread is to be
//! woken. Each of the two has a word of its own, by which it sleeps.
//!
//! ```text
//!    receiver                                  worker
//! 1  reads the word of the thread that will    a  writes the answer (release)
//!    sleep: its ticket (acquire)               b  fence
//! 2  stores the number of that thread in       c  loads WHOM; stops if it is NOBODY
//!    WHOM                                      d  swaps NOBODY into WHOM; stops if WHOM was
//! 3  fence                                        NOBODY
//! 4  looks for answers (acquire)               e  adds 1 to the word of the thread that d has
//! 5  if there are any: stores NOBODY in           found (release)
//!    WHOM, and receives them                   f  wakes that thread if it sleeps by its word
//! 6  otherwise that thread sleeps while its
//!    word is equal to its ticket
//! ```
//!
//! | word | read by | receiver stores | others store |
//! |---|---|---|---|
//! | `WHOM` | workers | a [`Sleeper`], `NOBODY` | workers: `NOBODY` |
//! | each sleeper's word | receiver | | workers and threads of the master: 1 more |
//!
//! Steps 2, 5 and c are relaxed; the fences order them. No wake-up is lost. For the proof, take the
//! last announcement, for which the thread has come to step 6 and does not wake any more, and an
//! answer that step 4 had not found. The fences 3 and b are sequentially consistent, so one of them
//! comes first.
//!
//! - If b came before 3, step 4 would see a, because fence b pairs with fence 3. So 3 comes before
//!   b.
//! - Fence 3 therefore pairs with fence b: step c sees the store of step 2, or a later value of
//!   `WHOM`. The receiver does not store anything in `WHOM` any more, so only a step d can change
//!   it after step 2. If c finds `NOBODY`, another d, of this worker or of another one, has found
//!   the number that step 2 has stored. Otherwise the d that follows c finds it, or again another
//!   d.
//! - In each case a d has found the number of the thread, and e follows. Step 1 had not read the
//!   value that this e writes: e (release) pairs with step 1 (acquire), so d would have happened
//!   before step 2, and could not have found what step 2 has stored. So e changes the word after
//!   step 1.
//! - If e comes before the kernel compares the word at step 6, the thread does not sleep. If e
//!   comes later, f wakes it: the kernel compares the word under the lock under which it wakes
//!   threads. So the thread wakes after all.
//!
//! Special cases:
//!
//! - Several workers come to step d at once. Only the first one wakes the thread, which may not see
//!   the answers of the others yet. But before the master sleeps again, the receiver makes another
//!   announcement. The proof holds for that announcement and the answer of each worker.
//! - A worker comes late to step d: since its step c, a receiver has made another announcement. If
//!   d comes after that announcement in the order in which `WHOM` changes, d finds it, and e wakes
//!   the thread that it names. If d comes before it, the announcement overwrites the `NOBODY` of d.
//! - A caller that has its result announces the receiver thread and leaves. Step 1 of this
//!   announcement is the ticket by which the receiver thread has been asleep all the while. The
//!   receiver thread took it while it was the receiver itself, so the lock under which threads
//!   become the receiver orders it before step 2. If the word has changed since, the receiver
//!   thread does not sleep.
//! - A worker dies between two of its steps. The dispatcher wakes both sleepers when it learns of
//!   the death (`Receiver::wake`).
//!
//! A worker may put off steps b to f if the receiver thread is to be woken, see
//! [`MasterWaker::notify_caller`]. The proof then holds for the later steps.
//!
//! The tests below go through the interleavings with one worker and with two, with at most three
//! preemptions.
//!
//! All workers can write to this memory. A worker that writes to wrong addresses can keep the
//! answers of others waiting until the next beat of the watch, and can do no more harm.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::memory::{Memory, Word};
use crate::kill_points::at_wake_step;

/// The word that names the thread to wake: a [`Sleeper`], or `NOBODY`.
const WHOM: usize = 0;
const NOBODY: u32 = 0;

/// How many words there are: `WHOM`, and one for each sleeper.
pub(crate) const WORDS: usize = 3;

/// A thread that sleeps until workers wake it. Its value stands for it in `WHOM`, and is the number
/// of the word by which it sleeps.
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

/// A sleeper, and the value of its word before its sleep was announced.
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

    /// Notes that no thread is to be woken, because the receiver is awake. Only the receiver calls
    /// this.
    pub(crate) fn set_awake(&self) {
        self.0.word(WHOM).store(NOBODY, Ordering::Relaxed);
    }

    /// Reads the word of a sleeper, which changes when the sleeper is woken (step 1).
    pub(crate) fn ticket(&self, sleeper: Sleeper) -> Ticket {
        Ticket(sleeper, self.0.word(sleeper as usize).load(Ordering::Acquire))
    }

    /// Announces that answers are to wake this sleeper, and looks for answers once more (steps 2 to
    /// 5). Returns whether it may sleep: if `is_due` returns `true`, the announcement is withdrawn.
    /// Only the receiver calls this.
    pub(crate) fn announce_sleep(&self, sleeper: Sleeper, is_due: impl FnOnce() -> bool) -> bool {
        self.0.word(WHOM).store(sleeper as u32, Ordering::Relaxed);
        M::fence();
        if is_due() {
            self.set_awake();
            return false;
        }
        true
    }

    /// Sleeps until the sleeper is woken after it has taken the ticket, or until the timeout has
    /// passed (step 6). May return for no reason.
    pub(crate) fn sleep(&self, Ticket(sleeper, word): Ticket, timeout: Option<Duration>) {
        self.0.wait(sleeper as usize, word, timeout);
    }

    /// Wakes the thread whose sleep is announced, if there is one (steps b to f). The caller has
    /// already written the answer.
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

    /// As [`notify`](Self::notify), but wakes only a caller. Returns whether the receiver thread is
    /// to be woken instead. The worker then has to call `notify` later, unless somebody reads the
    /// answer before.
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

    /// Wakes a sleeper, whether or not its sleep is announced (steps e and f).
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

    /// Both ways to notify: at once, or only a caller at once and the receiver thread afterwards.
    const RINGS: [Ring; 2] = [MasterWaker::notify, |waker| {
        if waker.notify_caller() {
            waker.notify();
        }
    }];

    fn ways() -> impl Iterator<Item = (Sleeper, Ring)> {
        let sleepers = [Sleeper::Caller, Sleeper::ReceiverThread].into_iter();
        sleepers.flat_map(|sleeper| RINGS.map(|ring| (sleeper, ring)))
    }

    /// A waker, and a count for each answer, which is 1 once the answer is there.
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

        /// Starts a worker that gives these answers, and notifies the master of each.
        fn worker(self: &Arc<Self>, answers: Range<usize>, ring: Ring) -> JoinHandle<()> {
            let ours = self.clone();
            spawn(move || {
                for answer in answers {
                    ours.waker.memory().count(answer).store(1, Ordering::Release);
                    ring(&ours.waker);
                }
            })
        }

        /// Receives all answers. If a wake-up were lost, this thread would sleep for ever, which
        /// the model checker reports.
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
            // The receiver thread sleeps while a caller is the receiver.
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
            // The caller waits only for answer 0.
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
