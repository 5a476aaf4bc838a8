//! Handles that a worker receives: they are refused, or lie within their segment.

use arbitrary::Arbitrary;
use farm_core::{Failure, Function, FunctionRef, codec};
use farm_shm::{ArrayRef, Band, Element};
use ndarray::{Dimension, Ix0, Ix1, Ix2, IxDyn};

use super::segments::{SEGMENTS, visit};
use super::wire::{Number, Rows, Segment, Wire};

/// An argument of one of [`FUNCTIONS`].
#[derive(Arbitrary, Debug)]
pub struct Argument<'a> {
    function: u8,
    content: Content<'a>,
}

#[derive(Arbitrary, Debug)]
enum Content<'a> {
    Bytes(&'a [u8]),
    Handles(Vec<Handle>),
}

#[derive(Arbitrary, Debug)]
struct Handle {
    back: bool,
    key: u8,
    place: Place,
    element: Option<Number>,
    whole: Vec<Number>,
    rows: Rows,
    undo: Option<Place>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Place {
    /// This process has made it.
    Own,
    /// Another has.
    Foreign,
    /// Another has, as the undo of an array.
    Undo,
    Any(Segment),
}

struct Callee {
    name: fn() -> &'static str,
    reference: fn() -> FunctionRef,
    element: usize,
}

macro_rules! callee {
    ($function:path, $element:ty) => {
        Callee {
            name: || Function::of($function).name(),
            reference: || Function::of($function).reference().expect("it is in this executable"),
            element: size_of::<$element>(),
        }
    };
}

const FUNCTIONS: [Callee; 10] = [
    callee!(read::<f64, Ix0>, f64),
    callee!(read::<f64, Ix1>, f64),
    callee!(read::<f64, Ix2>, f64),
    callee!(read::<f64, IxDyn>, f64),
    callee!(read::<u8, IxDyn>, u8),
    callee!(read::<[f64; 0], Ix2>, [f64; 0]),
    callee!(write::<f64, Ix1>, f64),
    callee!(write::<f64, Ix2>, f64),
    callee!(write::<f64, IxDyn>, f64),
    callee!(write::<[f64; 0], IxDyn>, [f64; 0]),
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
        // There can be more elements without a size than anybody can wait for.
        if size_of::<T>() > 0 {
            view.iter_mut().for_each(|element| *element = T::zeroed());
        }
    }
    handles
}

impl Argument<'_> {
    pub fn check(&self) {
        let callee = &FUNCTIONS[usize::from(self.function) % FUNCTIONS.len()];
        let argument = match &self.content {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::Handles(handles) => {
                let wires: Vec<Wire> =
                    handles.iter().map(|handle| handle.wire(callee.element)).collect();
                codec::encode(&wires).expect("they are numbers")
            }
        };
        let done = farm_core::run((callee.reference)(), &argument, &mut Vec::new());
        assert!(matches!(done, Ok(()) | Err(Failure::Decode(_))), "{done:?}");
    }
}

impl Handle {
    fn wire(&self, element: usize) -> Wire {
        let (key, rows) = (self.key.into(), self.rows.into());
        if self.back {
            return Wire::Home { key, rows };
        }
        let element = self.element.map_or(element, usize::from);
        let whole = self.whole.iter().map(|number| (*number).into()).collect();
        let (segment, undo) = (self.place.segment(), self.undo.map(Place::segment));
        Wire::Lent { key, segment, element, whole, rows, undo }
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
