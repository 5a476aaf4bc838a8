//! The segments in which handles can lie. They are mapped before the first input, and have no names from
//! then on, so that nothing is left in shared memory however a target ends.

use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use farm_core::{Function, Owner, TaskOptions, codec};
use farm_shm::{ArrayRef, Band, Element, SharedArray};
use ndarray::{ArrayView, Dimension, Ix1, Ix2};

use super::wire::{Segment, Wire};

pub(super) const SHAPE: (usize, usize) = (6, 4);
const ELEMENTS: usize = SHAPE.0 * SHAPE.1;
const BYTES: usize = ELEMENTS * size_of::<f64>();

pub(super) static SEGMENTS: LazyLock<Segments> = LazyLock::new(Segments::new);

pub(super) struct Segments {
    /// One that this process has made.
    pub(super) own: Segment,
    /// One that another has made, as far as can be seen.
    pub(super) foreign: Segment,
    /// The master's, to be lent and taken back.
    pub(super) home: Mutex<Option<SharedArray<f64, Ix2>>>,
    _own: ArrayRef<f64, Ix2>,
}

/// Where they are mapped.
static BASES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Handles of the foreign segment, which would be unmapped without them.
static KEPT: Mutex<Kept> = Mutex::new((Vec::new(), Vec::new()));
type Kept = (Vec<ArrayRef<f64, Ix1>>, Vec<Band<f64, Ix1>>);

fn keep((reader, writer): (ArrayRef<f64, Ix1>, Band<f64, Ix1>)) {
    note(reader.view());
    note(writer.view());
    let mut kept = KEPT.lock().expect("no panic");
    kept.0.push(reader);
    kept.1.push(writer);
}

fn note<D: Dimension>(view: ArrayView<'_, f64, D>) {
    BASES.lock().expect("no panic").push(view.as_ptr().addr());
}

pub(super) fn names() -> [&'static str; 1] {
    [Function::of(keep).name()]
}

impl Segments {
    fn new() -> Self {
        let array = || SharedArray::<f64, _>::zeros(SHAPE).expect("there is shared memory");
        let (own, home) = (array().freeze(), array());
        note(own.view());
        note(home.view());
        farm_shm::remove_all();
        let foreign = Segment { pid: std::process::id(), started: 1, n: 0 };
        let file = file(foreign);
        std::fs::write(&file, [0; BYTES]).expect("there is shared memory");
        let handle = |key| Wire::Lent {
            key,
            segment: foreign,
            element: size_of::<f64>(),
            whole: vec![ELEMENTS],
            rows: (0, ELEMENTS),
        };
        let argument = codec::encode(&(handle(0), handle(1))).expect("they are numbers");
        let function = Function::of(keep).reference().expect("it is in this executable");
        let kept = farm_core::run(function, &argument, &mut Vec::new());
        std::fs::remove_file(file).expect("it was made here");
        kept.expect("it is opened");
        Self { own: name_of(&own), foreign, home: Mutex::new(Some(home)), _own: own }
    }
}

fn file(Segment { pid, started, n }: Segment) -> PathBuf {
    let owner: Owner = format!("farm-{pid}-{started}").parse().expect("it is an owner's name");
    Path::new("/dev/shm").join(format!("{owner}-{n}"))
}

fn name_of(array: &ArrayRef<f64, Ix2>) -> Segment {
    let unchanged = |array: ArrayRef<f64, Ix2>| array;
    let prepared = farm_core::prepare(&TaskOptions::new(), unchanged, array);
    let Ok(prepared) = prepared else { panic!("it can be encoded") };
    match codec::decode((*prepared.task.argument).as_ref()).expect("it is a handle") {
        Wire::Lent { segment, .. } => segment,
        Wire::Home { .. } => panic!("it is at home"),
    }
}

/// Reads all elements, and looks at where they are.
pub(super) fn visit<T: Element, D: Dimension>(view: ArrayView<'_, T, D>) {
    let elements: usize = view.shape().iter().product();
    let start = view.as_ptr().addr();
    let end = start.checked_add(elements * size_of::<T>()).expect("it ends in memory");
    let within = |base: &usize| *base <= start && end <= *base + BYTES;
    assert!(BASES.lock().expect("no panic").iter().any(within), "{:?} is not inside", view.shape());
    if size_of::<T>() > 0 {
        let bytes = view.iter().flat_map(|element| bytemuck::bytes_of(element).iter().copied());
        std::hint::black_box(bytes.fold(0, u8::wrapping_add));
    }
}
