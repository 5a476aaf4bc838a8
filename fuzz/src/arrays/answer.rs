//! Handles that the master gets back. It must accept only those that it has lent, each band once,
//! and the array must be whole afterwards.

use arbitrary::Arbitrary;
use farm_core::codec::Form;
use farm_core::{Data, Stage, TaskError, TaskFn, TaskHandle, TaskOptions};
use farm_core::backend::{Function, Mailbox, Payload, Prepared, prepare, wake_here};
use farm_shm::{ArrayRef, Band, SharedArray};
use ndarray::Ix2;

use super::segments::{SEGMENTS, SHAPE, lent_by, visit};
use super::wire::{Grant, Return, Rows};
use crate::forms;

/// What a task is lent, and how the task ends.
#[derive(Arbitrary, Debug)]
pub struct Answer<'a> {
    lent: Lent,
    sent: u8,
    repeatable: bool,
    is_described: bool,
    outcome: Outcome<'a>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Lent {
    Bands,
    Readers,
    /// Bands, to a task whose type says that it returns readers.
    BandsForReaders,
    ReadersForBands,
}

#[derive(Arbitrary, Debug)]
enum Outcome<'a> {
    Bytes(&'a [u8]),
    /// The bytes of the argument.
    Echo,
    Handles(Vec<Back>),
    Cancelled,
}

#[derive(Arbitrary, Debug)]
struct Back {
    /// `Ok(n)` is the key of one of the handles that were lent; `Err` is any other key.
    key: Result<u8, u64>,
    /// The rows to return instead of those that were lent.
    rows: Option<Rows>,
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

fn write_readers(_: Readers) -> Bands {
    Vec::new()
}

pub(super) fn names() -> [&'static str; 4] {
    [
        Function::of(write).name(),
        Function::of(read).name(),
        Function::of(read_bands).name(),
        Function::of(write_readers).name(),
    ]
}

/// The array, with an undo that has room for the old rows of all parts. No undo can be made after
/// segments are removed.
pub(super) fn with_undo(array: SharedArray<f64, Ix2>) -> SharedArray<f64, Ix2> {
    let (split, bands) = array.split(PARTS).expect("these can be bands");
    let prepared = prepare(&TaskOptions::new().retries(1), write, bands);
    assert!(prepared.is_ok(), "it is encoded");
    drop(prepared);
    split.recover().expect("all bands are gone").array
}

impl Answer<'_> {
    pub fn check(&self) {
        let mut home = SEGMENTS.home.lock().expect("no panic");
        let array = home.take().expect("it was put back");
        let array = match self.lent {
            Lent::Bands | Lent::BandsForReaders => self.with_bands(array),
            Lent::Readers | Lent::ReadersForBands => self.with_readers(array),
        };
        assert_eq!(array.shape(), [SHAPE.0, SHAPE.1]);
        *home = Some(array);
    }

    fn with_bands(&self, array: SharedArray<f64, Ix2>) -> SharedArray<f64, Ix2> {
        let (split, bands) = array.split(PARTS).expect("these can be bands");
        if let Lent::Bands = self.lent {
            check_bands(self.outcome_of(write, bands));
        } else {
            assert!(self.outcome_of(read_bands, bands).is_none_or(|readers| readers.is_empty()));
        }
        split.recover().expect("all bands are gone").array
    }

    fn with_readers(&self, array: SharedArray<f64, Ix2>) -> SharedArray<f64, Ix2> {
        let whole = array.freeze();
        let readers = vec![whole.clone(), whole.clone().slice(1..4)];
        if let Lent::Readers = self.lent {
            check_readers(self.outcome_of(read, readers));
        } else {
            assert!(self.outcome_of(write_readers, readers).is_none_or(|bands| bands.is_empty()));
        }
        whole.thaw().expect("all readers are gone")
    }

    fn outcome_of<A: Data, R: Data>(&self, function: impl TaskFn<A, R>, argument: A) -> Option<R> {
        let options = TaskOptions::new().retries(self.repeatable.into());
        let Ok(prepared) = prepare(&options, function, argument) else { panic!("it is encoded") };
        let lent = lent_by(&prepared);
        let Prepared { task, slot, loans } = prepared;
        let form = if self.is_described { Form::Described } else { Form::Compact };
        let outcome = match &self.outcome {
            Outcome::Bytes(bytes) => Ok(bytes.to_vec()),
            Outcome::Echo => Ok(task.argument.to_vec()),
            Outcome::Handles(handles) => {
                let returns: Vec<_> = handles.iter().map(|handle| handle.of(&lent)).collect();
                Ok(forms::encode_in(form, &returns).expect("they are numbers"))
            }
            Outcome::Cancelled => Err(TaskError::Cancelled { task: task.name.clone() }),
        };
        let mut mailbox = Mailbox::default();
        mailbox.expect(task.id(), 1, slot.clone(), loans);
        (0..self.sent % 3).for_each(|_| mailbox.mark_sent(task.id()));
        let outcome = outcome.map(|result| Payload::from(result).in_form(form));
        let delivery = mailbox.close(task.id(), 0..1, outcome).expect("it is expected");
        wake_here(delivery.deliver());
        match TaskHandle::new(slot, None, 0).get() {
            Ok(result) => Some(result),
            Err(TaskError::Decode { stage: Stage::Result, reason, .. }) => {
                assert!(!reason.contains("panicked"), "{reason}");
                None
            }
            Err(TaskError::Cancelled { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

impl Back {
    fn of(&self, lent: &[(u64, Grant)]) -> Return {
        let (key, went) = match self.key {
            Ok(n) => {
                let (key, grant) = &lent[usize::from(n) % lent.len()];
                (*key, grant.rows.clone())
            }
            Err(key) => (key, 0..0),
        };
        Return { key, rows: self.rows.map_or(went, Into::into) }
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
