//! Several attempts at one task. Each must copy the old rows of its bands to the undo that its
//! grant names, or restore them from there, and change nothing else.

use std::ops::Range;

use arbitrary::Arbitrary;
use farm_core::codec::{Form, decode_form};
use farm_core::Stage;
use farm_core::backend::{Failure, Function, FunctionRef};
use farm_shm::{Band, Element};
use ndarray::{Dimension, Ix1, Ix2, IxDyn};

use super::segments::{BYTES, ELEMENTS, PAGE, SEGMENTS, SHAPE, UNDO_BYTES, foreign_name, visit};
use super::wire::{self, Access, Grant, Grants};

/// One task, and how often it is started.
#[derive(Arbitrary, Debug)]
pub struct Attempts {
    task: u8,
    bands: Vec<Part>,
    retries: u8,
    is_described: bool,
}

/// The rows of a band, its undo, and the flag that the first attempt finds there.
#[derive(Arbitrary, Debug)]
struct Part {
    start: u8,
    rows: u8,
    undo: Undo,
    mark: Mark,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Undo {
    None,
    Absent,
    /// The array itself, which is too short to be its undo.
    Itself,
    /// An array of the same size, which this process has made; it is too short as well.
    Own,
    /// A segment with room for the rows and for some flags.
    Proper,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Mark {
    No,
    Yes,
    Any(u8),
}

const YES: u8 = 1;

struct Task {
    name: fn() -> &'static str,
    reference: fn() -> FunctionRef,
    element: usize,
    whole: &'static [usize],
}

macro_rules! task {
    ($element:ty, $dimension:ty, $whole:expr) => {
        Task {
            name: || Function::of(overwrite::<$element, $dimension>).name(),
            reference: || {
                let function = Function::of(overwrite::<$element, $dimension>);
                function.reference().expect("it is in this executable")
            },
            element: size_of::<$element>(),
            whole: &$whole,
        }
    };
}

const TASKS: [Task; 5] = [
    task!(f64, Ix1, [ELEMENTS]),
    task!(f64, Ix2, [SHAPE.0, SHAPE.1]),
    task!(f64, IxDyn, [2, 3, 4]),
    // The undo has no flag for the last of these rows.
    task!(u8, Ix1, [BYTES]),
    // An array that is shorter than its segment.
    task!(u8, Ix2, [5, 7]),
];

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TASKS.into_iter().map(|task| (task.name)())
}

/// Returns the old rows, and overwrites them with zeros.
fn overwrite<T: Element, D: Dimension + 'static>(bands: Vec<Band<T, D>>) -> Vec<u8> {
    let mut old = Vec::new();
    for mut band in bands {
        visit(band.view());
        old.extend(band.view().iter().flat_map(bytemuck::bytes_of));
        band.view_mut().fill(T::zeroed());
    }
    old
}

impl Attempts {
    pub fn check(&self) {
        let task = &TASKS[usize::from(self.task) % TASKS.len()];
        let lent = |band: &Part| wire::encode(&band.grant(task));
        let grants: Grants = (0..).zip(self.bands.iter().map(lent)).collect();
        let keys: Vec<u64> = grants.iter().map(|(key, _)| *key).collect();
        let form = if self.is_described { Form::Described } else { Form::Compact };
        let argument = wire::argument(&keys, form, &grants);
        let mut memory = Memory::new(&self.bands, task);
        memory.prepare();
        for _ in 0..=self.retries % 3 {
            let mut result = Vec::new();
            // SAFETY: the contract is broken on purpose, since the grants are forged and may lend
            // the same rows twice. No two views conflict: the task views one band after the other,
            // and there is no other thread. Whether it changes other bytes is what is checked.
            let done = unsafe { farm_core::backend::run((task.reference)(), &argument, &mut result) };
            match (done, memory.attempt(&self.bands, task)) {
                (Ok(form), Ok(old)) => assert_eq!(decode_form(&result, form), Ok(old)),
                (Err(Failure::Decode { stage: Stage::Argument, reason }), Err(why)) => {
                    assert!(reason.contains(why), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            memory.check();
        }
    }
}

impl Task {
    fn row(&self) -> usize {
        self.whole.iter().skip(1).product::<usize>() * self.element
    }
}

impl Part {
    fn grant(&self, task: &Task) -> Grant {
        let undo = match self.undo {
            Undo::None => None,
            Undo::Absent => Some(foreign_name(2)),
            Undo::Itself => Some(SEGMENTS.foreign.name),
            Undo::Own => Some(SEGMENTS.own),
            Undo::Proper => Some(SEGMENTS.undo.name),
        };
        Grant {
            access: Access::Write,
            segment: SEGMENTS.foreign.name,
            element: task.element,
            whole: task.whole.to_vec(),
            rows: self.rows(task),
            undo,
        }
    }

    fn rows(&self, task: &Task) -> Range<usize> {
        let n = task.whole[0];
        let start = usize::from(self.start) % (n + 1);
        start..start + usize::from(self.rows) % (n + 1 - start)
    }

    fn bytes(&self, task: &Task) -> Range<usize> {
        let Range { start, end } = self.rows(task);
        start * task.row()..end * task.row()
    }

    /// The place of the band's flag, if the undo has room for it.
    fn mark_at(&self, task: &Task) -> Option<usize> {
        let at = BYTES + self.rows(task).start;
        (at < UNDO_BYTES).then_some(at)
    }
}

/// What the pages of the array and of its undo should hold, including the bytes behind both.
struct Memory {
    array: [u8; PAGE],
    undo: [u8; PAGE],
}

impl Memory {
    /// The initial content. Apart from the flags, no byte is the same in both.
    fn new(bands: &[Part], task: &Task) -> Self {
        let array = std::array::from_fn(|at| (at ^ (at >> 8)) as u8);
        let mut undo = array.map(|byte: u8| !byte);
        for band in bands {
            if let Some(at) = band.mark_at(task) {
                undo[at] = match band.mark {
                    Mark::No => 0,
                    Mark::Yes => YES,
                    Mark::Any(byte) => byte,
                };
            }
        }
        Self { array, undo }
    }

    fn prepare(&self) {
        SEGMENTS.foreign.write(&self.array);
        SEGMENTS.undo.write(&self.undo);
    }

    /// Predicts one attempt: returns the rows that the task finds, or why it is refused.
    fn attempt(&mut self, bands: &[Part], task: &Task) -> Result<Vec<u8>, &'static str> {
        bands.iter().try_for_each(|band| self.begin(band, task))?;
        let mut old = Vec::new();
        for band in bands {
            let rows = &mut self.array[band.bytes(task)];
            old.extend_from_slice(rows);
            rows.fill(0);
        }
        Ok(old)
    }

    fn begin(&mut self, band: &Part, task: &Task) -> Result<(), &'static str> {
        const TOO_SHORT: &str = "too short";
        let mark = match band.undo {
            Undo::None => return Ok(()),
            Undo::Absent => return Err("cannot open"),
            Undo::Itself | Undo::Own => return Err(TOO_SHORT),
            Undo::Proper => band.mark_at(task).ok_or(TOO_SHORT)?,
        };
        let rows = band.bytes(task);
        if self.undo[mark] == YES {
            self.array[rows.clone()].copy_from_slice(&self.undo[rows]);
        } else {
            self.undo[rows.clone()].copy_from_slice(&self.array[rows]);
            self.undo[mark] = YES;
        }
        Ok(())
    }

    fn check(&self) {
        assert_same(&SEGMENTS.foreign.read(), &self.array, "the array");
        assert_same(&SEGMENTS.undo.read(), &self.undo, "the undo");
    }
}

fn assert_same(is: &[u8; PAGE], should: &[u8; PAGE], what: &str) {
    if let Some(at) = (0..PAGE).find(|at| is[*at] != should[*at]) {
        panic!("byte {at} of {what} is {} and should be {}", is[at], should[at]);
    }
}
