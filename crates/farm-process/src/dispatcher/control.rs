//! The control thread: reads what workers, and the pool's own threads, say by the control channel.

use std::sync::Arc;
use std::task::Waker;

use farm_core::WorkerId;
use farm_core::backend::{Answer, FromWorker};
use parking_lot::Mutex;

use super::Dispatcher;
use crate::os::threads;
use crate::supervise::clock::BEAT;
use crate::transport::channel::Body;
use crate::transport::control::{self, Answers, Unheard, Up};
use crate::transport::ipc::Contained;
use crate::transport::outcome::outcome;

impl Dispatcher {
    /// The body of the control thread. If a waker keeps it for long, another thread goes on.
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
                    let stand_in = move || threads::as_ours(|| ours.run(&answers));
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
                // What has arrived cannot be read, and does not tell who sent it. So all workers are
                // replaced: an answer that is missed would be waited for without end.
                Err(Unheard::Unreadable) => self.watch.kill_present(),
                Err(Unheard::Gone) => self.open_anew(&mut answers.lock()),
            }
        }
    }

    /// Whether the pool has ended, and nothing more is to be heard.
    fn is_over(&self) -> bool {
        let state = self.state.lock();
        state.closed && !state.workers.are_starting()
    }

    /// Opens another channel, since the program has closed that of the workers. They cannot answer, and
    /// are replaced.
    fn open_anew(self: &Arc<Self>, answers: &mut Answers) {
        let Ok((up, new)) = control::open() else {
            std::thread::sleep(BEAT);
            return;
        };
        *answers = new;
        *self.up.lock() = Contained::new(up);
        self.watch.kill_present();
        // What was sent by the old channel of those that were dead before is lost.
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
