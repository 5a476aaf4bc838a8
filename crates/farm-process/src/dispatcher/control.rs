//! The control thread: reads the messages that workers, and the pool's own threads, send by the
//! control channel.

use std::sync::Arc;
use std::task::Waker;

use farm_core::WorkerId;
use farm_core::backend::{Answer, FromWorker};
use parking_lot::Mutex;

use super::Dispatcher;
use crate::os::threads;
use crate::supervise::clock::BEAT;
use crate::transport::channel::Body;
use crate::transport::control::{self, Answers, ReceiveError, Up};
use crate::transport::ipc::Contained;
use crate::transport::outcome::outcome;

impl Dispatcher {
    /// The body of the control thread. If a waker keeps this thread for long, another thread
    /// continues in its place.
    pub(crate) fn run(self: &Arc<Self>, answers: &Arc<Mutex<Answers>>) {
        loop {
            let message = answers.lock().receive();
            match message {
                Ok(Up::Message { worker, head, body }) => {
                    let wakers = self.answered(worker, head, body);
                    if wakers.is_empty() {
                        continue;
                    }
                    let (ours, answers) = (self.clone(), answers.clone());
                    let stand_in = move || threads::as_pool_thread(|| ours.run(&answers));
                    if self.wakers.wake_at_post(wakers, stand_in) {
                        return;
                    }
                }
                Ok(Up::Met { worker }) => self.state.lock().workers.mark_reported(worker),
                Ok(Up::Ready { worker }) => self.ready(worker),
                Ok(Up::Unready { worker, reason }) => self.unready(worker, reason),
                Ok(Up::Evicted { worker }) => self.state.lock().workers.on_evicted(worker),
                Ok(Up::Ended { worker }) => self.lost(worker),
                Ok(Up::Closed) => return,
                Err(_) if self.is_over() => return,
                // The message cannot be decoded, and so its sender is not known. Its loss would
                // make somebody wait without end, so all workers are replaced.
                Err(ReceiveError::Unreadable) => self.watch.kill_present(),
                Err(ReceiveError::Gone) => self.open_anew(&mut answers.lock()),
            }
        }
    }

    /// Whether the pool has ended, and no more messages are needed.
    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.closed && !state.workers.are_starting()
    }

    /// Opens another channel after the program has closed that of the workers. These cannot answer
    /// any more, and are replaced.
    fn open_anew(self: &Arc<Self>, answers: &mut Answers) {
        let Ok((up, new)) = control::open() else {
            std::thread::sleep(BEAT);
            return;
        };
        *answers = new;
        *self.up.lock() = Contained::new(up);
        self.watch.kill_present();
        // For workers that were dead before, the message `Ended` was sent by the old channel and is
        // lost.
        let dead = self.state.lock().workers.dead();
        dead.into_iter().for_each(|worker| self.lost(worker));
    }

    #[must_use]
    fn answered(self: &Arc<Self>, worker: WorkerId, head: FromWorker, body: Body) -> Vec<Waker> {
        let FromWorker::Done { task, attempt, ending } = head;
        let outcome = outcome(ending, body.open());
        let mut state = self.lock();
        state.master.on_answer(worker, Answer::to(task, attempt), outcome);
        let deliveries = self.carry_out(state);
        if deliveries.is_empty() { Vec::new() } else { self.deliver(deliveries) }
    }
}
