//! Handles that the master takes back: those it has lent, each band once, and the array is whole after.

use arbitrary::Arbitrary;
use farm_core::{
    Data, Function, Mailbox, Prepared, TaskError, TaskHandle, TaskOptions, codec, prepare,
};
use farm_shm::{ArrayRef, Band, SharedArray};
use ndarray::Ix2;

use super::segments::{SEGMENTS, SHAPE, visit};
use super::wire::{Rows, Wire};

/// What is lent to a task, and what becomes of it.
#[derive(Arbitrary, Debug)]
pub struct Answer<'a> {
    lent: Lent,
    sent: u8,
    repeatable: bool,
    outcome: Outcome<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Lent {
    Bands,
    Readers,
    /// The task's type says that it returns other handles than it was given.
    BandsForReaders,
}

#[derive(Arbitrary, Debug)]
enum Outcome<'a> {
    Bytes(&'a [u8]),
    Handles(Vec<Back>),
    Cancelled,
}

#[derive(Arbitrary, Debug)]
struct Back {
    /// One of those that were lent; else this number.
    key: Result<u8, u64>,
    rows: Option<Rows>,
    as_it_went: bool,
}

type Bands = Vec<Band<f64, Ix2>>;
type Readers = Vec<ArrayRef<f64, Ix2>>;

const PARTS: [std::ops::Range<usize>; 2] = [0..2, 3..6];

fn write(bands: Bands) -> Bands {
    bands
}

fn read(readers: Readers) -> Readers {
    readers
}

fn read_bands(_: Bands) -> Readers {
    Vec::new()
}

pub(super) fn names() -> [&'static str; 3] {
    [Function::of(write).name(), Function::of(read).name(), Function::of(read_bands).name()]
}

/// The array, with room for the old rows of all parts. No room can be made once segments are removed.
pub(super) fn with_undo(array: SharedArray<f64, Ix2>) -> SharedArray<f64, Ix2> {
    let (split, bands) = array.split(PARTS).expect("these can be bands");
    let prepared = prepare(&TaskOptions::new().retries(1), write, &bands);
    assert!(prepared.is_ok(), "it is encoded");
    drop((prepared, bands));
    split.recover().expect("all bands are gone").array
}

impl Answer<'_> {
    pub fn check(&self) {
        let mut home = SEGMENTS.home.lock().expect("no panic");
        let array = home.take().expect("it was put back");
        let options = TaskOptions::new().retries(self.repeatable.into());
        let array = match self.lent {
            Lent::Readers => {
                let whole = array.freeze();
                let readers = vec![whole.clone(), whole.clone().slice(1..4)];
                let prepared = prepare(&options, read, &readers);
                drop(readers);
                check_readers(self.outcome_of(prepared));
                whole.thaw().expect("all readers are gone")
            }
            Lent::Bands | Lent::BandsForReaders => {
                let (split, bands) = array.split(PARTS).expect("these can be bands");
                if let Lent::Bands = self.lent {
                    let prepared = prepare(&options, write, &bands);
                    drop(bands);
                    check_bands(self.outcome_of(prepared));
                } else {
                    let prepared = prepare(&options, read_bands, &bands);
                    drop(bands);
                    let readers = self.outcome_of(prepared);
                    assert!(readers.is_none_or(|readers| readers.is_empty()));
                }
                split.recover().expect("all bands are gone").array
            }
        };
        assert_eq!(array.shape(), [SHAPE.0, SHAPE.1]);
        *home = Some(array);
    }

    fn outcome_of<R: Data>(&self, prepared: Result<Prepared<R>, TaskHandle<R>>) -> Option<R> {
        let Ok(Prepared { task, slot, passengers }) = prepared else { panic!("it is encoded") };
        let outcome = match &self.outcome {
            Outcome::Bytes(bytes) => Ok(bytes.to_vec().into()),
            Outcome::Handles(handles) => {
                let lent: Vec<Wire> =
                    codec::decode((*task.argument).as_ref()).expect("handles were lent");
                let wires: Vec<Wire> = handles.iter().map(|handle| handle.wire(&lent)).collect();
                Ok(codec::encode(&wires).expect("they are numbers").into())
            }
            Outcome::Cancelled => Err(TaskError::Cancelled { task: task.name.clone() }),
        };
        let mut mailbox = Mailbox::default();
        mailbox.expect(task.id(), slot.clone(), passengers);
        (0..self.sent % 3).for_each(|_| mailbox.sent(task.id()));
        mailbox.close(task.id(), outcome).expect("it is expected").deliver();
        match TaskHandle::new(slot, None, 0).get() {
            Ok(result) => Some(result),
            Err(TaskError::Decode { reason, .. }) => {
                assert!(!reason.contains("panicked"), "{reason}");
                None
            }
            Err(TaskError::Cancelled { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Back {
    fn wire(&self, lent: &[Wire]) -> Wire {
        let of_lent = |n: u8| lent[usize::from(n) % lent.len()].clone();
        let (key, went) = match self.key {
            Ok(n) => match of_lent(n) {
                wire if self.as_it_went => return wire,
                Wire::Lent { key, rows, .. } | Wire::Home { key, rows } => (key, rows),
            },
            Err(key) => (key, (0, 0)),
        };
        Wire::Home { key, rows: self.rows.map_or(went, Into::into) }
    }
}

fn check_bands(bands: Option<Bands>) {
    let bands = bands.unwrap_or_default();
    for (n, band) in bands.iter().enumerate() {
        assert!(PARTS.contains(&band.rows()));
        assert_eq!(band.shape(), [band.rows().len(), SHAPE.1]);
        assert!(bands[..n].iter().all(|other| other.rows() != band.rows()), "two have {band:?}");
        visit(band.view());
    }
}

fn check_readers(readers: Option<Readers>) {
    readers.into_iter().flatten().for_each(|reader| visit(reader.view()));
}
