//! The segments in which handles can lie. They are mapped before the first input and have no names
//! from then on, so nothing is left in shared memory however a target ends.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};

use farm_core::codec::{self, Form};
use farm_core::{Data, TaskOptions};
use farm_core::backend::{Failure, Function, Prepared};
use farm_os::Owner;
use farm_shm::{ArrayRef, Band, Element, SharedArray};
use ndarray::{ArrayView, Dimension, Ix1, Ix2};

use super::answer::with_undo;
use super::wire::{self, Access, Grant, Segment};

pub(super) const SHAPE: (usize, usize) = (6, 4);
pub(super) const ELEMENTS: usize = SHAPE.0 * SHAPE.1;
pub(super) const BYTES: usize = ELEMENTS * size_of::<f64>();
/// Room for the rows and for one flag per row, if each row is one element.
pub(super) const UNDO_BYTES: usize = BYTES + ELEMENTS;
pub(super) const PAGE: usize = 4096;

pub(super) static SEGMENTS: LazyLock<Segments> = LazyLock::new(Segments::new);

pub(super) struct Segments {
    /// A segment that this process has made.
    pub(super) own: Segment,
    pub(super) foreign: Foreign,
    /// A segment that is larger, so that it can hold the old rows of the others.
    pub(super) undo: Foreign,
    /// The array that the master lends; `None` while it is lent.
    pub(super) home: Mutex<Option<SharedArray<f64, Ix2>>>,
    _own: ArrayRef<f64, Ix2>,
}

/// A segment that seems to have been made by another process.
pub(super) struct Foreign {
    pub(super) name: Segment,
    file: File,
}

/// The addresses at which the segments are mapped.
static PLACES: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Handles of the foreign segments, which keep them mapped.
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
    let start = view.as_ptr().addr();
    PLACES.lock().expect("no panic").push(start..start + view.len() * size_of::<f64>());
}

pub(super) fn names() -> [&'static str; 1] {
    [Function::of(keep).name()]
}

impl Segments {
    fn new() -> Self {
        let array = || SharedArray::<f64, _>::zeros(SHAPE).expect("there is shared memory");
        let (own, home) = (array().freeze(), with_undo(array()));
        note(own.view());
        note(home.view());
        farm_shm::remove_all();
        let (foreign, undo) = (Foreign::open(0, BYTES), Foreign::open(1, UNDO_BYTES));
        Self { own: name_of(&own), foreign, undo, home: Mutex::new(Some(home)), _own: own }
    }
}

impl Foreign {
    /// Makes a segment, and maps it in the way of a worker.
    fn open(n: u64, bytes: usize) -> Self {
        let name = foreign_name(n);
        let path = path(name);
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.expect("there is shared memory");
        file.set_len(bytes as u64).expect("there is room");
        let elements = bytes / size_of::<f64>();
        let lent = |access| {
            let (element, whole, rows) = (size_of::<f64>(), vec![elements], 0..elements);
            wire::encode(&Grant { access, segment: name, element, whole, rows, undo: None })
        };
        let grants = vec![(0, lent(Access::Read)), (1, lent(Access::Write))];
        let argument = wire::argument(&(0_u64, 1_u64), Form::Compact, &grants);
        let function = Function::of(keep).reference().expect("it is in this executable");
        // SAFETY: the contract is broken on purpose: both handles are lent the same memory, and
        // they are kept. No two views conflict, because only `keep` makes views through these
        // handles, one after the other.
        let kept = unsafe { farm_core::backend::run(function, &argument, &mut Vec::new()) };
        std::fs::remove_file(path).expect("it was made here");
        assert!(matches!(kept, Err(Failure::Escaped { .. })), "{kept:?}");
        // The mapping stays as long as it is. The file becomes longer, so that it shows what is
        // written behind the end of the segment on the same page.
        file.set_len(PAGE as u64).expect("there is room");
        Self { name, file }
    }

    /// Reads the segment and the rest of its page.
    pub(super) fn read(&self) -> [u8; PAGE] {
        let mut page = [0; PAGE];
        self.file.read_exact_at(&mut page, 0).expect("it is a page");
        page
    }

    pub(super) fn write(&self, page: &[u8; PAGE]) {
        self.file.write_all_at(page, 0).expect("it is a page");
    }
}

/// The name that another process would give to its segment `n`. Segments from 2 on do not exist.
pub(super) fn foreign_name(n: u64) -> Segment {
    Segment { pid: std::process::id(), started: 1, n }
}

fn path(Segment { pid, started, n }: Segment) -> PathBuf {
    let owner: Owner = format!("farm-{pid}-{started}").parse().expect("it is an owner's name");
    Path::new("/dev/shm").join(format!("{owner}-{n}"))
}

fn name_of(array: &ArrayRef<f64, Ix2>) -> Segment {
    let unchanged = |array: ArrayRef<f64, Ix2>| array;
    let prepared = farm_core::backend::prepare(&TaskOptions::new(), unchanged, array.clone());
    let Ok(prepared) = prepared else { panic!("it can be encoded") };
    lent_by(&prepared)[0].1.segment
}

/// The grants of a task, with the keys of their handles.
pub(super) fn lent_by<R: Data>(prepared: &Prepared<R>) -> Vec<(u64, Grant)> {
    let argument = prepared.task.argument.as_slice().expect("nobody else has it");
    let (_, _, grants) = wire::take_apart(argument).expect("it was encoded");
    let decode = |grant: Vec<u8>| codec::decode(&grant).expect("it was encoded");
    grants.into_iter().map(|(key, grant)| (key, decode(grant))).collect()
}

/// Reads all elements of a view, and checks that they lie within one of the segments.
pub(super) fn visit<T: Element, D: Dimension>(view: ArrayView<'_, T, D>) {
    let elements: usize = view.shape().iter().product();
    let start = view.as_ptr().addr();
    let end = start.checked_add(elements * size_of::<T>()).expect("it ends in memory");
    let within = |place: &Range<usize>| place.start <= start && end <= place.end;
    assert!(
        PLACES.lock().expect("no panic").iter().any(within),
        "{:?} is not inside",
        view.shape()
    );
    if size_of::<T>() > 0 {
        let bytes = view.iter().flat_map(|element| bytemuck::bytes_of(element).iter().copied());
        std::hint::black_box(bytes.fold(0, u8::wrapping_add));
    }
}
