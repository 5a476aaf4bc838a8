//! The records that master and worker write to each other.
//!
//! A record is a head, which has a fixed number of words, and a body of encoded bytes behind it. If
//! the body is too long for the ring, the place of the body stands behind the head instead. The
//! reader trusts nothing in a record, and checks each value where it uses it.

use farm_core::TaskId;
use farm_core::backend::{Answer, Attempt, Ending, FunctionRef};

use super::range_claim::RangeClaim;

/// The longest body that goes through a ring, in bytes.
pub(crate) const MOST_INLINE: usize = 32 * 1024;

/// The number of words in a head. A head is short, so that a record with a small body fits into one
/// line of the cache.
const WORDS: usize = 5;
/// The number of bytes in a head.
pub(super) const HEAD: usize = WORDS * 8;

/// The place of a long body: an argument in the arena, or a result in the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// A message from the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Take up the items of a task, beginning with `first`.
    Run(Run),
    /// Unmap the arrays that the master has dropped, and confirm it.
    Evict,
    /// No more tasks will come.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
    pub(super) function: FunctionRef,
    /// The claim on the items. `None` if the task has one item, which cannot be stolen.
    pub(super) claim: Option<RangeClaim>,
    pub(super) first: u32,
    pub(super) is_batch: bool,
    pub(super) beside: Option<Beside>,
}

/// A message from a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Response {
    /// Items of a task have ended.
    Done {
        answer: Answer,
        ending: Ending,
        /// The number of the place at which a long body lies; see `results.rs`.
        place: usize,
        beside: Option<Beside>,
    },
    /// The worker has unmapped the arrays that the master has dropped.
    Evicted,
}

/// The beginning of a record: its head, and the place of its body if the body is too long to
/// follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    bytes: [u8; HEAD + BESIDE],
    is_beside: bool,
}

const BESIDE: usize = 16;

impl Header {
    fn new(words: [u64; WORDS], beside: Option<Beside>) -> Self {
        let mut bytes = [0; HEAD + BESIDE];
        let behind = beside.map_or([0; 2], |Beside { at, bytes }| [at, bytes]);
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(words.into_iter().chain(behind))
        {
            *bytes = word.to_ne_bytes();
        }
        Self { bytes, is_beside: beside.is_some() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.is_beside { &self.bytes } else { &self.bytes[..HEAD] }
    }
}

/// Splits a record into the words of its head and the bytes behind the head.
fn words(record: &[u8]) -> Option<([u64; WORDS], &[u8])> {
    let (head, body) = record.split_first_chunk::<HEAD>()?;
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(head.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Some((words, body))
}

/// The place of the body, if `is_beside`. The outer `None` means that the record is too short.
fn beside(is_beside: bool, body: &[u8]) -> Option<Option<Beside>> {
    if !is_beside {
        return Some(None);
    }
    let [at, bytes]: [[u8; 8]; 2] = *body.as_chunks().0.first_chunk()?;
    let [at, bytes] = [at, bytes].map(u64::from_ne_bytes);
    Some(Some(Beside { at, bytes }))
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn parts(pair: u64) -> (u32, u32) {
    ((pair >> 32) as u32, pair as u32)
}

/// The first word of a head: the kind of the record, whether its body lies beside it, and two more
/// numbers.
fn first_word(kind: u8, is_beside: bool, small: u8, large: u32) -> u64 {
    u64::from(large) << 32 | u64::from(small) << 16 | u64::from(is_beside) << 8 | u64::from(kind)
}

const RUN: u8 = 1;
const DONE: u8 = 2;
const EVICT: u8 = 3;
const END: u8 = 4;

/// Stands for a task without a claim.
const NO_CLAIM: u32 = u32::MAX;

const ENDINGS: [Ending; 4] = [Ending::Returned, Ending::Described, Ending::Failed, Ending::Escaped];

impl Request {
    pub(super) fn header(self) -> Header {
        match self {
            Self::Run(run) => {
                let [offset, abi_hash] = run.function.to_words();
                let claim = run
                    .claim
                    .map_or(NO_CLAIM, |RangeClaim { n, tag }| (n as u32) << 16 | u32::from(tag));
                let first = first_word(RUN, run.beside.is_some(), u8::from(run.is_batch), claim);
                let item = pair(run.attempt.0, run.first);
                Header::new([first, run.task.to_bits(), item, offset, abi_hash], run.beside)
            }
            Self::Evict => Header::new([first_word(EVICT, false, 0, 0), 0, 0, 0, 0], None),
            Self::End => Header::new([first_word(END, false, 0, 0), 0, 0, 0, 0], None),
        }
    }

    /// Reads a record; returns the request, and the bytes behind the head. `None` if no master
    /// writes such a record.
    pub(super) fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([first, task, item, offset, abi_hash], body) = words(record)?;
        let [kind, is_beside, is_batch, ..] = first.to_le_bytes();
        let request = match kind {
            RUN => {
                let (claim, _) = parts(first);
                let (attempt, first) = parts(item);
                let (n, tag) = ((claim >> 16) as usize, claim as u16);
                Self::Run(Run {
                    task: TaskId::from_bits(task),
                    attempt: Attempt(attempt),
                    function: FunctionRef::from_words([offset, abi_hash]),
                    claim: (claim != NO_CLAIM).then_some(RangeClaim { n, tag }),
                    first,
                    is_batch: is_batch == 1,
                    beside: beside(is_beside == 1, body)?,
                })
            }
            EVICT => Self::Evict,
            END => Self::End,
            _ => return None,
        };
        Some((request, body))
    }
}

impl Response {
    pub(super) fn header(self) -> Header {
        match self {
            Self::Done { answer, ending, place, beside } => {
                let Answer { task, attempt, first, count } = answer;
                let ending = ENDINGS.iter().position(|other| *other == ending).unwrap_or(0);
                let kind = first_word(DONE, beside.is_some(), ending as u8, count);
                let item = pair(attempt.0, first);
                Header::new([kind, task.to_bits(), item, place as u64, 0], beside)
            }
            Self::Evicted => Header::new([first_word(EVICT, false, 0, 0), 0, 0, 0, 0], None),
        }
    }

    /// Reads a record; returns the response, and the bytes behind the head. `None` if no worker
    /// writes such a record.
    pub(super) fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([first, task, item, place, _], body) = words(record)?;
        let [kind, is_beside, ending, ..] = first.to_le_bytes();
        let response = match kind {
            DONE => {
                let (count, _) = parts(first);
                let (attempt, first) = parts(item);
                let (task, attempt) = (TaskId::from_bits(task), Attempt(attempt));
                Self::Done {
                    answer: Answer { task, attempt, first, count },
                    ending: *ENDINGS.get(usize::from(ending))?,
                    place: usize::try_from(place).ok()?,
                    beside: beside(is_beside == 1, body)?,
                }
            }
            EVICT => Self::Evicted,
            _ => return None,
        };
        Some((response, body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let run = Run {
            task: TaskId::from_bits(u64::MAX - 3),
            attempt: Attempt(7),
            function: FunctionRef::from_words([u64::MAX - 8, 12]),
            claim: Some(RangeClaim { n: 9, tag: 65_535 }),
            first: 4,
            is_batch: true,
            beside: Some(Beside { at: 1 << 40, bytes: 12 }),
        };
        let body = |header: Header| [header.bytes(), b"body"].concat();
        for request in [
            Request::Run(run),
            Request::Run(Run { is_batch: false, claim: None, beside: None, ..run }),
            Request::Evict,
            Request::End,
        ] {
            let record = body(request.header());
            let (read, rest) = Request::read(&record).expect("it is one");
            assert!(read == request && rest.ends_with(b"body"));
        }
        for ending in ENDINGS {
            let answer = Answer { task: run.task, attempt: run.attempt, first: 3, count: 1 << 20 };
            for beside in [None, run.beside] {
                let response = Response::Done { answer, ending, place: 5, beside };
                let record = body(response.header());
                let (read, rest) = Response::read(&record).expect("it is one");
                assert!(read == response && rest.ends_with(b"body"));
            }
        }
        assert_eq!(Response::read(Request::End.header().bytes()), None);
        assert_eq!(Request::read(&[0; HEAD]), None);
        assert_eq!(Request::read(&[1; HEAD - 1]), None);
        let long = Request::Run(run).header();
        assert_eq!(Request::read(&long.bytes()[..HEAD + BESIDE - 1]), None);
    }
}
