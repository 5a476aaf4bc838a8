//! Results in memory that is written to while they are decoded.

use std::fmt::Debug;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arbitrary::{Arbitrary, Unstructured};
use farm_core::codec::{Form, SharedBytes};
use farm_core::Data;
use farm_core::backend::Payload;

use super::damage::any_form;
use super::text::{deeply, text_of};
use super::{Promise, any_kind, arrival, many, received};
use crate::forms;

/// An encoded sequence of values, and the changes that are made to it while it is decoded.
#[derive(Debug)]
pub(super) struct Changing {
    pub(super) form: Form,
    pub(super) bytes: Vec<u8>,
    pub(super) changes: Vec<Change>,
}

/// Two bytes that are written at `at`, just before the copy with this number is made.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) struct Change {
    copy: u8,
    at: u16,
    bytes: [u8; 2],
}

/// The most bytes of a result. A result of this length is copied in several pieces.
const MOST_BYTES: usize = 32 << 10;

/// Decodes changing results as values of some type.
///
/// # Errors
///
/// If the input has too few bytes for the results.
pub fn receive_changing(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let (kind, form) = (any_kind(u)?, any_form(u)?);
    let changes = u.arbitrary()?;
    let times = u.int_in_range(2..=600)?;
    let mut bytes = (kind.encode)(u, form, times)?;
    bytes.truncate(MOST_BYTES);
    (kind.receive_changing)(&Changing { form, bytes, changes });
    Ok(())
}

pub(super) fn check<T: Data + Debug>(changing: &Changing) {
    forms::forget();
    let result = changing.payload(&changing.bytes);
    assert_eq!(result.len(), changing.bytes.len());
    let values = received::by_master::<Vec<T>>(result, changing.form);
    many::check::<T>(changing);
    match values {
        Ok(values) => check_values(values),
        Err(reason) => assert!(!reason.contains("panicked"), "{reason}"),
    }
}

/// Checks that decoded values are like any others: that text is UTF-8, for instance. The text is
/// checked as opaque bytes, since the compiler may assume that a `str` is UTF-8.
pub(super) fn check_values<T: Data + Debug>(values: Vec<T>) {
    const ENOUGH: usize = 3;
    for value in values.iter().take(ENOUGH) {
        let text = text_of(value);
        assert!(std::str::from_utf8(std::hint::black_box(text.as_bytes())).is_ok());
        arrival::check_alone(value, Promise::AsJson);
    }
    deeply(move || drop(values));
}

impl Changing {
    /// A payload of `bytes` that changes in the same way.
    pub(super) fn payload(&self, bytes: &[u8]) -> Payload {
        Payload::Shared(Arc::new(Shared {
            length: bytes.len(),
            bytes: Mutex::new(bytes.to_vec()),
            changes: self.changes.clone(),
            copies: AtomicUsize::new(0),
        }))
    }
}

struct Shared {
    length: usize,
    bytes: Mutex<Vec<u8>>,
    changes: Vec<Change>,
    copies: AtomicUsize,
}

// SAFETY: `copy` writes all of `to`, or panics.
unsafe impl SharedBytes for Shared {
    fn len(&self) -> usize {
        self.length
    }

    fn copy(&self, at: usize, to: &mut [MaybeUninit<u8>]) {
        let copy = self.copies.fetch_add(1, Ordering::Relaxed);
        let mut bytes = self.bytes.lock().expect("no panic");
        for change in self.changes.iter().filter(|change| usize::from(change.copy) == copy) {
            let at = usize::from(change.at) % bytes.len().max(1);
            bytes[at..].iter_mut().zip(change.bytes).for_each(|(old, new)| *old = new);
        }
        to.write_copy_of_slice(&bytes[at..at + to.len()]);
    }
}
