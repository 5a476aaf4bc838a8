//! Where the outcome of one task waits for its handle.
//!
//! ```text
//! Waiting ──deliver──▶ Arrived ──take──▶ Taken
//! ```
//!
//! A slot is filled once; what is delivered later is dropped. An encoded result is decoded by the caller
//! that takes it, not by the thread that delivers it, so that many callers decode at once.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use serde::de::DeserializeOwned;

use crate::api::error::{Stage, TaskError};
use crate::backend::decode::decode_result;
use crate::backend::payload::Payload;
use crate::backend::pool_ref::Readiness;
use crate::backend::task::TaskName;
use crate::loan::Loans;

/// One task's place in the mailbox, its result type erased.
pub trait Deliver: Send + Sync {
    /// Puts the outcome of some items in; the first one counts. Who waits for it by a waker is left to the caller to
    /// [wake](crate::backend::wakers::Wakers).
    #[must_use]
    fn deliver(
        &self,
        items: Range<u32>,
        outcome: Result<Payload, TaskError>,
        loans: Loans,
    ) -> Option<Waker>;
}

/// One task's place in the mailbox.
pub struct Slot<R> {
    task: Arc<TaskName>,
    state: Mutex<State<R>>,
    /// The outcome is in. Changed under the lock; it can be read without.
    is_in: AtomicBool,
    arrived: Condvar,
}

enum State<R> {
    Waiting(Option<Waker>),
    Arrived(Outcome<R>),
    Taken,
}

enum Outcome<R> {
    Value(R),
    Encoded(Payload, Loans),
    Error(TaskError),
}

impl<R> Slot<R> {
    /// An empty slot for the outcome of `task`.
    pub fn new(task: Arc<TaskName>) -> Self {
        let state = Mutex::new(State::Waiting(None));
        Self { task, state, is_in: AtomicBool::new(false), arrived: Condvar::new() }
    }

    /// The task whose outcome belongs here.
    pub fn task(&self) -> &Arc<TaskName> {
        &self.task
    }

    /// Puts in an outcome that was never encoded; the first one counts. As [`Deliver::deliver`].
    #[must_use]
    pub fn fill(&self, outcome: Result<R, TaskError>) -> Option<Waker> {
        self.put(match outcome {
            Ok(value) => Outcome::Value(value),
            Err(error) => Outcome::Error(error),
        })
    }

    fn put(&self, outcome: Outcome<R>) -> Option<Waker> {
        let mut state = self.state.lock();
        let State::Waiting(waker) = &mut *state else { return None };
        let waker = waker.take();
        *state = State::Arrived(outcome);
        self.is_in.store(true, Ordering::Release);
        self.arrived.notify_all();
        waker
    }

    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.is_in.load(Ordering::Acquire)
    }

    /// Waits until the outcome is in, or until `deadline`; says whether it is in.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> bool {
        if self.is_ready() {
            return true;
        }
        let mut state = self.state.lock();
        while matches!(*state, State::Waiting(_)) {
            match deadline {
                None => self.arrived.wait(&mut state),
                Some(deadline) => {
                    if self.arrived.wait_until(&mut state, deadline).timed_out() {
                        return !matches!(*state, State::Waiting(_));
                    }
                }
            }
        }
        true
    }

    /// Says whether the outcome is in; if not, `waker` is woken when it is.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        // Wakers are foreign code: they are cloned before the lock is taken and dropped after.
        let waker = waker.clone();
        let mut former = None;
        let ready = match &mut *self.state.lock() {
            State::Waiting(place) => {
                former = place.replace(waker);
                false
            }
            _ => true,
        };
        drop(former);
        ready
    }
}

impl<R> Readiness for Slot<R> {
    fn is_ready(&self) -> bool {
        self.is_ready()
    }
}

impl<R: DeserializeOwned> Slot<R> {
    /// Takes the outcome; `None` if it is not in, or was taken before.
    pub(crate) fn take(&self) -> Option<Result<R, TaskError>> {
        let mut state = self.state.lock();
        if matches!(*state, State::Waiting(_)) {
            return None;
        }
        let taken = std::mem::replace(&mut *state, State::Taken);
        drop(state);
        match taken {
            State::Arrived(Outcome::Value(value)) => Some(Ok(value)),
            State::Arrived(Outcome::Error(error)) => Some(Err(error)),
            State::Arrived(Outcome::Encoded(bytes, loans)) => {
                Some(decode_result(&bytes, loans).map_err(|error| TaskError::Decode {
                    task: self.task.clone(),
                    stage: Stage::Result,
                    reason: error.to_string(),
                }))
            }
            State::Waiting(_) | State::Taken => None,
        }
    }
}

impl<R: Send> Deliver for Slot<R> {
    fn deliver(
        &self,
        _: Range<u32>,
        outcome: Result<Payload, TaskError>,
        loans: Loans,
    ) -> Option<Waker> {
        self.put(match outcome {
            Ok(bytes) => Outcome::Encoded(bytes, loans),
            Err(error) => {
                // Before the handle is ready: whoever waits for it may want the arrays back.
                drop(loans);
                Outcome::Error(error)
            }
        })
    }
}
