//! Values of several types: from any bytes, as a worker and as the master decode them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use farm_core::codec::{self, CodecError};
use farm_core::{
    Data, Failure, Function, Mailbox, Passengers, Plain, Slot, TaskError, TaskHandle, TaskName,
    TaskOptions, encode_call,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Shape {
    Point,
    Line(f64, f64),
    Named { name: String, corners: Vec<(i32, Option<u8>)> },
    Filled(#[serde(with = "farm_core::plain")] Vec<u16>),
    Group(Vec<Shape>),
    Inside(Box<Shape>),
}

type Mixed = (i128, f32, char, Duration, NonZeroU8, IpAddr, Result<bool, OsString>);

pub fn keep<T>(value: T) -> T {
    value
}

/// Bytes that are to be a value of one of the types in [`KINDS`].
#[derive(Arbitrary, Debug)]
pub struct Encoded<'a> {
    kind: u8,
    bytes: &'a [u8],
}

struct Kind {
    name: fn() -> &'static str,
    check: fn(&[u8]),
}

impl Kind {
    const fn of<T: Data>() -> Self {
        Self { name: || Function::of(keep::<T>).name(), check: check::<T> }
    }
}

const KINDS: [Kind; 14] = [
    Kind::of::<Plain<f64>>(),
    Kind::of::<Plain<u8>>(),
    Kind::of::<Plain<[u16; 3]>>(),
    Kind::of::<Vec<String>>(),
    Kind::of::<Vec<Vec<Option<u64>>>>(),
    Kind::of::<Shape>(),
    Kind::of::<Mixed>(),
    Kind::of::<BTreeMap<String, BTreeSet<i16>>>(),
    Kind::of::<[Shape; 3]>(),
    Kind::of::<(Plain<f32>, String, Plain<i64>)>(),
    Kind::of::<u64>(),
    Kind::of::<()>(),
    Kind::of::<Failure>(),
    Kind::of::<(farm_core::ToWorker, farm_core::FromWorker)>(),
];

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().map(|kind| (kind.name)())
}

impl Encoded<'_> {
    pub fn check(&self) {
        (KINDS[usize::from(self.kind) % KINDS.len()].check)(self.bytes);
    }
}

/// A worker, the master and the codec alone say the same of these bytes, and a value survives a journey.
fn check<T: Data>(bytes: &[u8]) {
    let decoded = codec::decode::<T>(bytes).map(|value| codec::encode(&value).expect("encodes"));
    let mut result = Vec::new();
    let reference = Function::of(keep::<T>).reference().expect("it is in this executable");
    // SAFETY: nothing is lent.
    let as_worker = unsafe { farm_core::run(reference, &without_handles(bytes), &mut result) };
    let as_worker = as_worker.map(|()| result);
    let as_master = master_takes::<T>(bytes).map(|value| codec::encode(&value).expect("encodes"));
    match (decoded, as_worker, as_master) {
        (Ok(bytes), Ok(by_worker), Ok(by_master)) => {
            assert_eq!(bytes, by_worker);
            assert_eq!(bytes, by_master);
            let again = codec::decode::<T>(&bytes).expect("it was encoded");
            assert_eq!(codec::encode(&again).expect("encodes"), bytes);
            assert_eq!(encode_call(&again).expect("encodes"), without_handles(&bytes));
        }
        (
            Err(CodecError::Decode(reason)),
            Err(Failure::Decode(by_worker)),
            Err(TaskError::Decode { reason: by_master, .. }),
        ) => {
            assert_eq!(reason, by_worker);
            assert_eq!(reason, by_master);
            assert!(!reason.contains("panicked"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

/// An argument that is these bytes, and lends nothing.
pub fn without_handles(bytes: &[u8]) -> Vec<u8> {
    let length_of_lendings = 0_u32.to_le_bytes();
    [bytes, &length_of_lendings].concat()
}

/// The way of a result to its handle.
fn master_takes<T: Data>(result: &[u8]) -> Result<T, TaskError> {
    let name = TaskName::new(Function::of(keep::<T>), &TaskOptions::new());
    let (task, slot) = (name.id, Arc::new(Slot::<T>::new(Arc::new(name))));
    let mut mailbox = Mailbox::default();
    mailbox.expect(task, slot.clone(), Passengers::default());
    let delivery = mailbox.close(task, Ok(result.to_vec().into()));
    delivery.expect("it is expected").deliver();
    TaskHandle::new(slot, None, 0).get()
}
