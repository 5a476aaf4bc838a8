//! Checks that values arrive unchanged, whatever was sent before.

use std::fmt::Debug;

use arbitrary::{Arbitrary, Unstructured};
use farm_core::codec::{self, Encoded, Output, OutputBuffer, decode_form};
use farm_core::Data;
use farm_core::backend::{Function, encode_call, run_to};

use super::text::{deeply, goes_through_json, into_text, text_of};
use super::{Promise, any_kind, keep, received};
use crate::forms;

/// Sends some values of one type, and checks that they arrive.
///
/// # Errors
///
/// If the input has too few bytes for the values.
pub fn arrive(u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    (any_kind(u)?.arrive)(u)
}

/// The most values that are sent one after the other.
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
    // The facts that become known by one value do not change how another arrives.
    for (value, (sent, called)) in values.iter().zip(&alone) {
        for _ in 0..2 {
            assert_eq!(&send(value), sent);
            assert_eq!(&call(value), called);
        }
    }
    deeply(move || drop(values));
    Ok(())
}

/// Checks that a value arrives unchanged while no facts are known, if that is promised. Returns
/// what it arrives as, first directly, then as the result of a task.
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
        // The compact form refuses elements that take no bytes.
        if let Ok(compact) = codec::encode(value) {
            let back = codec::decode::<T>(&compact).expect("it was encoded");
            assert_eq!(into_text(back), text_of(value));
        }
    }
    (sent, called)
}

/// The text of the value that arrives; `None` if it cannot be decoded.
type Arrived = Option<String>;

fn send<T: Data + Debug>(value: &T) -> Arrived {
    let (form, bytes) = forms::encode(value).expect("it does not refuse");
    decode_form::<T>(&bytes, form).ok().map(into_text)
}

/// Sends a value to a task that returns its argument, and returns what arrives at the master.
fn call<T: Data + Debug>(value: &T) -> Arrived {
    let argument = encode_call(value).expect("it does not refuse");
    let function = Function::of(keep::<T>).reference().expect("it is in this executable");
    let mut buffer = Moving::default();
    let mut output = Output::new(Vec::new(), Some(&mut buffer));
    // SAFETY: the argument lends nothing.
    let form = unsafe { run_to(function, &argument, &mut output) }.ok()?;
    let result = match output.finish() {
        Encoded::Heap(bytes) => bytes,
        Encoded::Buffered(length) => buffer.0[..length].to_vec(),
    };
    received::by_master::<T>(result.into(), form).ok().map(into_text)
}

/// An output buffer for results of up to 300 bytes, which moves each time that it grows.
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
