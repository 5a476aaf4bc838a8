//! The functions that this executable can name, and references to them and to places near them.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use farm_core::{Data, Plain, TaskFn, codec};
use farm_core::backend::{Function, FunctionRef};
use serde::{Deserialize, Serialize};

use crate::values::{Shape, keep};

/// A function reference as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    pub offset: i64,
    pub abi_hash: u64,
}

impl From<Reference> for FunctionRef {
    fn from(reference: Reference) -> Self {
        let bytes = codec::encode(&reference).expect("two numbers");
        codec::decode(&bytes).expect("a reference is two numbers")
    }
}

impl Reference {
    pub fn to<A: Data, R: Data, F: TaskFn<A, R>>(function: F) -> Self {
        let reference = Function::of(function).reference().expect("it is in this executable");
        codec::decode(&codec::encode(&reference).expect("numbers")).expect("two numbers")
    }
}

fn halve(x: f64) -> f64 {
    x / 2.0
}

/// References to functions of several types, two of which differ only in their code; with names.
fn known() -> [(Reference, &'static str); 6] {
    fn entry<A: Data, R: Data, F: TaskFn<A, R>>(function: F) -> (Reference, &'static str) {
        (Reference::to(function), Function::of(function).name())
    }
    [
        entry(f64::sqrt),
        entry(halve),
        entry(keep::<u64>),
        entry(keep::<Shape>),
        entry(keep::<Plain<f64>>),
        entry(|words: Vec<String>| words.concat()),
    ]
}

/// The names of all functions of this executable that have a descriptor.
static NAMES: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let known = known().map(|(_, name)| name);
    known.into_iter().chain(crate::values::names()).chain(crate::arrays::names()).collect()
});

/// Checks that the function to which a reference has led is one of [`NAMES`].
pub fn check(found: Function) {
    assert!(NAMES.contains(found.name()), "{} was never named", found.name());
}

/// A reference that leads anywhere, near a function, or exactly to a function.
#[derive(Arbitrary, Debug)]
pub enum Aim {
    Anywhere {
        offset: i64,
        abi_hash: u64,
    },
    /// As many words and bytes away from a function's descriptor.
    Beside {
        function: u8,
        words: i16,
        bytes: i8,
        other_hash: Option<u64>,
    },
    /// A place that begins like a descriptor, with the hash that is found there.
    Lookalike(u8),
}

impl Aim {
    pub fn reference(&self) -> Reference {
        let known = known();
        match *self {
            Self::Anywhere { offset, abi_hash } => Reference { offset, abi_hash },
            Self::Beside { function, words, bytes, other_hash } => {
                let (near, _) = known[usize::from(function) % known.len()];
                let offset = near.offset + 8 * i64::from(words) + i64::from(bytes);
                Reference { offset, abi_hash: other_hash.unwrap_or(near.abi_hash) }
            }
            Self::Lookalike(n) => LOOKALIKES[usize::from(n) % LOOKALIKES.len()],
        }
    }
}

static LOOKALIKES: LazyLock<Vec<Reference>> = LazyLock::new(lookalikes);

/// References to all places in this executable that begin with the magic number of descriptors.
fn lookalikes() -> Vec<Reference> {
    // The number must not stand in this code, where it would be one more such place.
    let magic = u64::from_be_bytes(std::hint::black_box(*b"FARM-FN1"));
    let places = places_of(magic);
    // Offsets count from an anchor in farm-core, whose address is not known here. It is the first
    // address from which the offsets of all known functions lead to such places.
    let known = known().map(|(reference, _)| reference);
    let holds = |anchor: u64| {
        known.iter().all(|known| {
            places.contains(&(anchor.wrapping_add_signed(known.offset), known.abi_hash))
        })
    };
    let mut anchors =
        places.iter().map(|(address, _)| address.wrapping_add_signed(-known[0].offset));
    let anchor = anchors.find(|anchor| holds(*anchor)).expect("the functions are in their places");
    let from_anchor = |(address, abi_hash): &(u64, u64)| Reference {
        offset: address.wrapping_sub(anchor).cast_signed(),
        abi_hash: *abi_hash,
    };
    places.iter().map(from_anchor).collect()
}

/// The addresses at which an aligned word lies in the read-only memory of this executable, each
/// with the word after it.
fn places_of(word: u64) -> Vec<(u64, u64)> {
    let program = std::env::current_exe().expect("it has a path");
    let program = program.to_str().expect("the path is text");
    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux tells");
    let mut memory = std::fs::File::open("/proc/self/mem").expect("it is ours");
    let mut places = Vec::new();
    // <start>-<end> <rights> <offset> <device> <inode> <path>. Source: proc_pid_maps(5).
    for line in maps.lines().filter(|line| line.ends_with(program) && line.contains(" r-")) {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (start, end) = range.expect("a line begins with a range");
        let [start, end] =
            [start, end].map(|address| u64::from_str_radix(address, 16).expect("an address"));
        let mut bytes = vec![0; (end - start) as usize];
        memory.seek(SeekFrom::Start(start)).expect("memory has places");
        memory.read_exact(&mut bytes).expect("it is mapped readable");
        let (words, _) = bytes.as_chunks::<8>();
        let pairs = (start..).step_by(8).zip(words.windows(2));
        let found = pairs.filter(|(_, pair)| u64::from_ne_bytes(pair[0]) == word);
        places.extend(found.map(|(address, pair)| (address, u64::from_ne_bytes(pair[1]))));
    }
    places
}
