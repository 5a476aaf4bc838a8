//! The slot: where the outcome of one task waits for the task's handle.
//!
//! ```text
//! Waiting ──deliver──▶ Arrived ──take──▶ Taken
//! ```
//!
//! A slot is filled once, and what is delivered later is dropped. An encoded result is decoded by
//! the caller that takes it, not by the thread that delivers it, so many callers decode at the same
//! time.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use serde::de::DeserializeOwned;

use crate::api::error::{Stage, TaskError};
use crate::backend::decode_result::decode_result;
use crate::backend::payload::Payload;
use crate::backend::pool_ref::Readiness;
use crate::backend::task::TaskName;
use crate::loan::Loans;

/// The place to which the mailbox delivers outcomes, whatever the type of the result.
pub trait Deliver: Send + Sync {
    /// Stores the outcome of some items; the first outcome of an item counts. Returns the waker
    /// that waits for it, which the caller must have [woken](crate::backend::wakers::Wakers).
    #[must_use]
    fn deliver(
        &self,
        items: Range<u32>,
        outcome: Result<Payload, TaskError>,
        loans: Loans,
    ) -> Option<Waker>;
}

/// The place where the outcome of one task waits for its handle.
pub struct Slot<R> {
    task: Arc<TaskName>,
    state: Mutex<State<R>>,
    /// Whether the outcome has arrived. It is set under the lock of `state`, and can be read
    /// without it.
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
    /// Makes an empty slot for the outcome of `task`.
    pub fn new(task: Arc<TaskName>) -> Self {
        let state = Mutex::new(State::Waiting(None));
        Self { task, state, is_in: AtomicBool::new(false), arrived: Condvar::new() }
    }

    /// Returns the task whose outcome belongs here.
    pub fn task(&self) -> &Arc<TaskName> {
        &self.task
    }

    /// Stores an outcome that was never encoded; the first one counts. Returns a waker as
    /// [`Deliver::deliver`] does.
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

    /// Waits until the outcome has arrived or `deadline` has passed; returns whether it has
    /// arrived.
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

    /// Returns whether the outcome has arrived. If not, `waker` is woken when it does.
    pub(crate) fn poll(&self, waker: &Waker) -> bool {
        // Wakers are foreign code, so they are cloned before the lock is taken and dropped after it
        // is released.
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
    /// Takes the outcome; `None` if it has not arrived or was taken before.
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
                // Before the handle is ready, because the caller that waits for it may want to use
                // the arrays again.
                drop(loans);
                Outcome::Error(error)
            }
        })
    }
}
