//! The end of a pool: `shutdown` ends it once all tasks are done, `terminate` and `drop` at once.

use std::sync::Arc;
use std::time::Instant;

use super::Dispatcher;
use super::workers::Start;
use crate::os::threads;
use crate::pool::settings::GRACE;
use crate::transport::control::Up;
use crate::transport::ipc::send;

impl Dispatcher {
    /// Waits until every task has its outcome.
    pub(crate) fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while !state.mailbox.is_empty() {
            self.changed.wait(&mut state);
        }
    }

    /// Ends the workers, and then cancels the tasks that are left. With `gently`, workers may first
    /// end by themselves; otherwise they are killed.
    ///
    /// The outcomes of the cancelled tasks are kept until the workers are dead. Until then, nothing
    /// that a worker can still write to is given back by its loan.
    pub(crate) fn close(self: &Arc<Self>, gently: bool) {
        let mut state = self.lock();
        state.closed = true;
        state.master.close();
        state.workers.dismiss();
        self.renew_views();
        if !gently {
            self.watch.kill_all();
        }
        self.act(state);

        let mut patience = Instant::now() + GRACE;
        let mut state = self.state.lock();
        while state.workers.are_starting() {
            if self.changed.wait_until(&mut state, patience).timed_out() {
                self.watch.kill_all();
                patience += GRACE;
            }
        }
        drop(state);
        if gently && !self.watch.wait_until_none_left(Some(patience)) {
            self.watch.kill_all();
        }
        self.watch.wait_until_none_left(None);
        let kept = std::mem::take(&mut self.state.lock().kept);
        let wakers = self.deliver(kept);
        self.watch.close();
        self.watch.outputs.close();
        let _ = self.starts.send(Start::NoMore);
        let _ = send(&self.up(), Up::Closed);
        if let Some(receiver) = &self.receiver {
            receiver.close();
        }
        threads::wake(&self.wakers, wakers);
        self.wakers.close();
    }
}
