//! What master and worker write to each other's lane.
//!
//! A record is a head of a fixed number of words, and behind it a body of encoded bytes, unless that is too long: then
//! the head says where the body lies. What a head says is not believed by whoever reads it: each use is checked.

use farm_core::{Answer, Attempt, Ending, FunctionRef, TaskId};

use super::claim::Claim;

/// The longest body that goes through a ring.
pub(crate) const MOST_INLINE: usize = 32 * 1024;

const WORDS: usize = 8;
/// The bytes of a head.
pub(super) const HEAD: usize = WORDS * 8;

pub(super) type Head = [u8; HEAD];

/// Where a long body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

/// From the master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Take up the items of a task, which are `first` and those behind it.
    Run(Run),
    /// Let go of arrays that the master has dropped, and say so.
    LetGo,
    /// No more tasks will come.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) task: TaskId,
    pub(super) attempt: Attempt,
    pub(super) function: FunctionRef,
    pub(super) claim: Claim,
    pub(super) first: u32,
    pub(super) is_envelope: bool,
    pub(super) beside: Option<Beside>,
}

/// From a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// Items of a task have ended.
    Done {
        answer: Answer,
        ending: Ending,
        /// The number of the place of a long body.
        place: usize,
        beside: Option<Beside>,
    },
    /// It has let go of what it was told of.
    LetGo,
}

/// What a body that is not beside has for its place.
const INLINE: u64 = u64::MAX;

fn place(beside: Option<Beside>) -> [u64; 2] {
    beside.map_or([INLINE, 0], |Beside { at, bytes }| [at, bytes])
}

fn beside([at, bytes]: [u64; 2]) -> Option<Beside> {
    (at != INLINE).then_some(Beside { at, bytes })
}

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn parts(pair: u64) -> (u32, u32) {
    ((pair >> 32) as u32, pair as u32)
}

fn head(words: [u64; WORDS]) -> Head {
    let mut head = [0; HEAD];
    for (bytes, word) in head.as_chunks_mut().0.iter_mut().zip(words) {
        *bytes = word.to_ne_bytes();
    }
    head
}

/// Takes a record apart.
fn words(record: &[u8]) -> Option<([u64; WORDS], &[u8])> {
    let (head, body) = record.split_first_chunk::<HEAD>()?;
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(head.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    Some((words, body))
}

const RUN: u32 = 1;
const DONE: u32 = 2;
const LET_GO: u32 = 3;
const END: u32 = 4;

const ENDINGS: [Ending; 3] = [Ending::Returned, Ending::Failed, Ending::Escaped];

impl Order {
    pub(super) fn head(self) -> Head {
        match self {
            Self::Run(run) => {
                let [offset, abi_hash] = run.function.to_words();
                let [at, bytes] = place(run.beside);
                let claim = pair(run.claim.n as u32, u32::from(run.claim.tag));
                head([
                    pair(RUN, u32::from(run.is_envelope)),
                    run.task.to_bits(),
                    pair(run.attempt.0, run.first),
                    claim,
                    offset,
                    abi_hash,
                    at,
                    bytes,
                ])
            }
            Self::LetGo => head([pair(LET_GO, 0), 0, 0, 0, 0, 0, 0, 0]),
            Self::End => head([pair(END, 0), 0, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// What a record says, and its body; `None` if it says nothing that a master says.
    pub(super) fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([kind, task, attempt, claim, offset, abi_hash, at, bytes], body) = words(record)?;
        let (kind, is_envelope) = parts(kind);
        let order = match kind {
            RUN => {
                let (attempt, first) = parts(attempt);
                let (n, tag) = parts(claim);
                Self::Run(Run {
                    task: TaskId::from_bits(task),
                    attempt: Attempt(attempt),
                    function: FunctionRef::from_words([offset, abi_hash]),
                    claim: Claim { n: n as usize, tag: tag as u16 },
                    first,
                    is_envelope: is_envelope == 1,
                    beside: beside([at, bytes]),
                })
            }
            LET_GO => Self::LetGo,
            END => Self::End,
            _ => return None,
        };
        Some((order, body))
    }
}

impl Report {
    pub(super) fn head(self) -> Head {
        match self {
            Self::Done { answer, ending, place: n, beside } => {
                let Answer { task, attempt, first, count } = answer;
                let ending = ENDINGS.iter().position(|other| *other == ending).unwrap_or(0);
                let [at, bytes] = place(beside);
                head([
                    pair(DONE, ending as u32),
                    task.to_bits(),
                    pair(attempt.0, first),
                    u64::from(count),
                    n as u64,
                    0,
                    at,
                    bytes,
                ])
            }
            Self::LetGo => head([pair(LET_GO, 0), 0, 0, 0, 0, 0, 0, 0]),
        }
    }

    /// What a record says, and its body; `None` if it says nothing that a worker says.
    pub(super) fn read(record: &[u8]) -> Option<(Self, &[u8])> {
        let ([kind, task, attempt, count, n, _, at, bytes], body) = words(record)?;
        let (kind, ending) = parts(kind);
        let report = match kind {
            DONE => {
                let (attempt, first) = parts(attempt);
                let answer = Answer {
                    task: TaskId::from_bits(task),
                    attempt: Attempt(attempt),
                    first,
                    count: u32::try_from(count).ok()?,
                };
                let ending = *ENDINGS.get(ending as usize)?;
                let (place, beside) = (usize::try_from(n).ok()?, beside([at, bytes]));
                Self::Done { answer, ending, place, beside }
            }
            LET_GO => Self::LetGo,
            _ => return None,
        };
        Some((report, body))
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
            claim: Claim { n: 9, tag: 65_535 },
            first: 4,
            is_envelope: true,
            beside: Some(Beside { at: 1 << 40, bytes: 12 }),
        };
        for order in [
            Order::Run(run),
            Order::Run(Run { is_envelope: false, beside: None, ..run }),
            Order::LetGo,
            Order::End,
        ] {
            let record = [&order.head()[..], b"body"].concat();
            assert_eq!(Order::read(&record), Some((order, &b"body"[..])));
        }
        for ending in ENDINGS {
            let answer = Answer { task: run.task, attempt: run.attempt, first: 3, count: 1 << 20 };
            for beside in [None, run.beside] {
                let report = Report::Done { answer, ending, place: 5, beside };
                let record = [&report.head()[..], b""].concat();
                assert_eq!(Report::read(&record), Some((report, &b""[..])));
            }
        }
        assert_eq!(Report::read(&Order::End.head()), None);
        assert_eq!(Order::read(&[0; HEAD]), None);
        assert_eq!(Order::read(&[1; HEAD - 1]), None);
    }
}
