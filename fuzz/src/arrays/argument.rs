//! Handles that a worker receives. Each must be refused, or lie within its segment.

use arbitrary::Arbitrary;
use farm_core::codec::{self, Form, decode_form};
use farm_core::Stage;
use farm_core::backend::{Failure, Function, FunctionRef};
use farm_shm::{ArrayRef, Band, Element};
use ndarray::{Dimension, Ix0, Ix1, Ix2, IxDyn};

use super::segments::{SEGMENTS, visit};
use super::wire::{self, Access, Grant, Grants, Number, Return, Rows, Segment};

/// An argument for one of [`FUNCTIONS`].
#[derive(Arbitrary, Debug)]
pub struct Argument<'a> {
    function: u8,
    content: Content<'a>,
}

#[derive(Arbitrary, Debug)]
enum Content<'a> {
    Bytes(&'a [u8]),
    Handles { keys: Keys, lent: Vec<(u8, Lent<'a>)>, length: Option<u32>, is_described: bool },
}

/// The keys in the value: those of the grants, or any.
#[derive(Arbitrary, Debug)]
enum Keys {
    AsLent,
    Any(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Lent<'a> {
    Bytes(&'a [u8]),
    Rows(Part),
}

#[derive(Arbitrary, Debug)]
struct Part {
    other_access: bool,
    place: Place,
    element: Option<Number>,
    whole: Vec<Number>,
    rows: Rows,
    undo: Option<Place>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    /// A segment that this process has made.
    Own,
    /// A segment that another process has made.
    Foreign,
    /// The same, as the undo of an array.
    Undo,
    Any(Segment),
}

struct Callee {
    name: fn() -> &'static str,
    reference: fn() -> FunctionRef,
    access: Access,
    element: usize,
}

macro_rules! callee {
    ($function:path, $access:ident, $element:ty) => {
        Callee {
            name: || Function::of($function).name(),
            reference: || Function::of($function).reference().expect("it is in this executable"),
            access: Access::$access,
            element: size_of::<$element>(),
        }
    };
}

const FUNCTIONS: [Callee; 10] = [
    callee!(read::<f64, Ix0>, Read, f64),
    callee!(read::<f64, Ix1>, Read, f64),
    callee!(read::<f64, Ix2>, Read, f64),
    callee!(read::<f64, IxDyn>, Read, f64),
    callee!(read::<u8, IxDyn>, Read, u8),
    callee!(read::<[f64; 0], Ix2>, Read, [f64; 0]),
    callee!(write::<f64, Ix1>, Write, f64),
    callee!(write::<f64, Ix2>, Write, f64),
    callee!(write::<f64, IxDyn>, Write, f64),
    callee!(write::<[f64; 0], IxDyn>, Write, [f64; 0]),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.into_iter().map(|callee| (callee.name)())
}

fn read<T: Element, D: Dimension + 'static>(handles: Vec<ArrayRef<T, D>>) -> Vec<ArrayRef<T, D>> {
    handles.iter().for_each(|handle| visit(handle.view()));
    handles
}

fn write<T: Element, D: Dimension + 'static>(mut handles: Vec<Band<T, D>>) -> Vec<Band<T, D>> {
    for handle in &mut handles {
        visit(handle.view());
        assert_eq!(handle.rows().len(), handle.shape()[0]);
        let mut view = handle.view_mut();
        // If elements have no size, there can be so many that a loop over them never ends.
        if size_of::<T>() > 0 {
            view.iter_mut().for_each(|element| *element = T::zeroed());
        }
    }
    handles
}

impl Argument<'_> {
    pub fn check(&self) {
        let callee = &FUNCTIONS[usize::from(self.function) % FUNCTIONS.len()];
        let argument = self.content.encode(callee);
        let mut result = Vec::new();
        // SAFETY: the contract is broken on purpose, since the grants are forged. The check is that
        // handles stay within their segments all the same. No two views of the same bytes conflict:
        // there is no other thread, and a task makes one view at a time.
        let done = unsafe { farm_core::backend::run((callee.reference)(), &argument, &mut result) };
        match done {
            Ok(form) => assert_lent(&argument, &result, form, callee),
            Err(Failure::Decode { stage: Stage::Argument, reason }) => {
                assert!(!reason.contains("panicked"), "{reason}");
            }
            Err(failure) => panic!("{failure:?}"),
        }
    }
}

/// Checks that the task has received what the grants lend, each once and with the access and the
/// element size of its grant.
fn assert_lent(argument: &[u8], result: &[u8], form: Form, callee: &Callee) {
    let returned: Vec<Return> = decode_form(result, form).expect("handles were returned");
    let (value, form, mut grants) = wire::take_apart(argument).expect("the worker has done so");
    let keys: Vec<u64> = decode_form(value, form).expect("the worker has done so");
    assert!(returned.iter().map(|handle| handle.key).eq(keys), "{returned:?}");
    for handle in &returned {
        let at = grants.iter().position(|(key, grant)| {
            *key == handle.key
                && codec::decode::<Grant>(grant).is_ok_and(|grant| {
                    (grant.access, grant.element) == (callee.access, callee.element)
                        && grant.rows == handle.rows
                })
        });
        grants.swap_remove(at.unwrap_or_else(|| panic!("{handle:?} was not lent")));
    }
}

impl Content<'_> {
    fn encode(&self, callee: &Callee) -> Vec<u8> {
        let (keys, lent, length, is_described) = match self {
            Self::Bytes(bytes) => return bytes.to_vec(),
            Self::Handles { keys, lent, length, is_described } => {
                (keys, lent, length, *is_described)
            }
        };
        let grants: Grants =
            lent.iter().map(|(key, lent)| ((*key).into(), lent.encode(callee))).collect();
        let keys: Vec<u64> = match keys {
            Keys::AsLent => grants.iter().map(|(key, _)| *key).collect(),
            Keys::Any(keys) => keys.iter().map(|key| (*key).into()).collect(),
        };
        let form = if is_described { Form::Described } else { Form::Compact };
        let mut argument = wire::argument(&keys, form, &grants);
        if let (Some(length), Some(last)) = (length, argument.last_chunk_mut()) {
            *last = length.to_le_bytes();
        }
        argument
    }
}

impl Lent<'_> {
    fn encode(&self, callee: &Callee) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Rows(part) => wire::encode(&part.grant(callee)),
        }
    }
}

impl Part {
    fn grant(&self, callee: &Callee) -> Grant {
        Grant {
            access: match (callee.access, self.other_access) {
                (Access::Read, false) | (Access::Write, true) => Access::Read,
                (Access::Write, false) | (Access::Read, true) => Access::Write,
            },
            segment: self.place.segment(),
            element: self.element.map_or(callee.element, usize::from),
            whole: self.whole.iter().map(|number| (*number).into()).collect(),
            rows: self.rows.into(),
            undo: self.undo.map(Place::segment),
        }
    }
}

impl Place {
    fn segment(self) -> Segment {
        match self {
            Self::Own => SEGMENTS.own,
            Self::Foreign => SEGMENTS.foreign.name,
            Self::Undo => SEGMENTS.undo.name,
            Self::Any(segment) => segment,
        }
    }
}
