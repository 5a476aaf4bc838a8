//! Any bytes, received as a value. The codec alone, a worker and the master must agree on whether
//! they are a value and on which, and that value must be like any other.

use std::fmt::Debug;
use std::sync::Arc;

use farm_core::codec::{CodecError, Form, decode_form};
use farm_core::{Data, Stage, TaskError, TaskHandle, TaskName, TaskOptions};
use farm_core::backend::{Failure, Function, Mailbox, Loans, Payload, Slot, run, wake_here};

use super::text::{deeply, into_text, text_of};
use super::{Promise, arrival, keep};
use crate::forms;

pub(super) fn check<T: Data + Debug>(form: Form, bytes: &[u8], promise: Promise) {
    forms::forget();
    let decoded = decode_form::<T>(bytes, form);
    forms::forget();
    let by_worker = by_worker::<T>(bytes, form);
    forms::forget();
    let by_master = by_master::<T>(bytes.to_vec().into(), form);
    match (decoded, by_worker, by_master) {
        (Ok(value), by_worker, Ok(by_master)) => {
            let text = text_of(&value);
            assert_eq!(text, into_text(by_master));
            let (arrived, _) = arrival::check_alone(&value, promise);
            // The worker has sent the value once more, as its result.
            assert_eq!(by_worker.ok(), arrived);
            deeply(move || drop(value));
        }
        (Err(CodecError::Decode(reason)), Err(by_worker), Err(by_master)) => {
            assert_eq!(by_worker, Some(reason.clone()));
            assert_eq!(by_master, reason);
            assert!(!reason.contains("panicked"), "{reason}");
        }
        (decoded, by_worker, by_master) => {
            let [decoded, by_master] = [into_text(decoded), into_text(by_master)];
            panic!("{decoded}, {by_worker:?}, {by_master}");
        }
    }
}

/// Decodes the bytes as the argument of a task that returns its argument, and decodes its result.
/// An error without a reason is one of decoding the result.
fn by_worker<T: Data + Debug>(bytes: &[u8], form: Form) -> Result<String, Option<String>> {
    let function = Function::of(keep::<T>).reference().expect("it is in this executable");
    let mut result = Vec::new();
    // SAFETY: the argument lends nothing.
    let done = unsafe { run(function, &forms::argument(form, bytes, &[]), &mut result) };
    match done {
        Ok(form) => decode_form::<T>(&result, form).map(into_text).map_err(|_| None),
        Err(Failure::Decode { stage: Stage::Argument, reason }) => Err(Some(reason)),
        Err(failure) => panic!("{failure:?}"),
    }
}

/// Delivers a result to a handle, which decodes it as the master does.
pub(super) fn by_master<T: Data>(result: Payload, form: Form) -> Result<T, String> {
    let name = TaskName::new(Function::of(keep::<T>), &TaskOptions::new());
    let (task, slot) = (name.id, Arc::new(Slot::<T>::new(Arc::new(name))));
    let mut mailbox = Mailbox::default();
    mailbox.expect(task, 1, slot.clone(), Loans::default());
    let delivery = mailbox.close(task, 0..1, Ok(result.in_form(form)));
    wake_here(delivery.expect("it is expected").deliver());
    TaskHandle::new(slot, None, 0).get().map_err(|error| match error {
        TaskError::Decode { stage: Stage::Result, reason, .. } => reason,
        other => panic!("{other}"),
    })
}
