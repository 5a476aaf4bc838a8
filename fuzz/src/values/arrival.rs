//! Values that are sent arrive as they are, whatever was sent before.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use farm_core::codec::{self, Encoded, Output, OutputBuffer, decode_form};
use farm_core::Data;
use farm_core::backend::{Function, encode_call, run_to};

use super::text::{deeply, goes_through_json, into_text, text_of};
use super::{Promise, any_kind, keep, received};
use crate::forms;

/// Some values of one type.
///
/// # Errors
///
/// There is not enough to make them from.
pub fn arrive(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    (any_kind(u)?.arrive)(u)
}

/// How many values are sent one after the other.
const MOST: usize = 4;

pub(super) fn check<T>(u: &mut Unstructured<'_>, promise: Promise) -> arbitrary::Result<()>
where
    T: Data + Debug + for<'a> Arbitrary<'a>,
{
    let mut values: Vec<T> = Vec::new();
    while values.len() < MOST && !u.is_empty() {
        values.push(u.arbitrary()?);
    }
    let alone: Vec<_> = values.iter().map(|value| check_alone(value, promise)).collect();
    forms::forget();
    // What becomes known by the one does not change the other.
    for (value, (sent, called)) in values.iter().zip(&alone) {
        for _ in 0..2 {
            assert_eq!(&send(value), sent);
            assert_eq!(&call(value), called);
        }
    }
    deeply(move || drop(values));
    Ok(())
}

/// A value arrives as it is, if that is promised, and nothing is known before. Returns what it has arrived as, and
/// from a task.
pub(super) fn check_alone<T: Data + Debug>(value: &T, promise: Promise) -> (Arrived, Arrived) {
    forms::forget();
    let sent = send(value);
    forms::forget();
    let called = call(value);
    if promise == Promise::All || goes_through_json(value) {
        let text = Some(text_of(value));
        assert_eq!(sent, text);
        assert_eq!(called, text);
    }
    if promise == Promise::All {
        // Elements that take no room are refused.
        if let Ok(compact) = codec::encode(value) {
            let back = codec::decode::<T>(&compact).expect("it was encoded");
            assert_eq!(into_text(back), text_of(value));
        }
    }
    (sent, called)
}

/// What a value arrives as, if it does.
type Arrived = Option<String>;

fn send<T: Data + Debug>(value: &T) -> Arrived {
    let (form, bytes) = forms::encode(value).expect("it does not refuse");
    decode_form::<T>(&bytes, form).ok().map(into_text)
}

/// What it arrives as from a task that returns its argument.
fn call<T: Data + Debug>(value: &T) -> Arrived {
    let argument = encode_call(value).expect("it does not refuse");
    let function = Function::of(keep::<T>).reference().expect("it is in this executable");
    let mut buffer = Moving::default();
    let mut output = Output::new(Vec::new(), Some(&mut buffer));
    // SAFETY: nothing is lent.
    let form = unsafe { run_to(function, &argument, &mut output) }.ok()?;
    let result = match output.finish() {
        Encoded::Heap(bytes) => bytes,
        Encoded::Buffered(length) => buffer.0[..length].to_vec(),
    };
    received::by_master::<T>(result.into(), form).ok().map(into_text)
}

/// Room for results of some length, which moves each time that it grows.
#[derive(Default)]
struct Moving(Vec<u8>);

impl OutputBuffer for Moving {
    fn shortest(&self) -> usize {
        16
    }

    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
        const MOST: usize = 300;
        if bytes > MOST {
            return None;
        }
        if bytes > self.0.len() {
            let mut room = vec![0; bytes];
            room[..used].copy_from_slice(&self.0[..used]);
            self.0 = room;
        }
        Some(&mut self.0)
    }
}
