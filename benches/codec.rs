//! Compares the codec of the farm with postcard and serde_json:
//! `cargo bench -p benches --bench codec`.
//!
//! A group is a direction and a value, and an id is a codec:
//!
//! - `farm` is the compact form by itself, as failures and grants are encoded.
//! - `farm-known` is the compact form of an argument, which is chosen because all facts about the
//!   value are known.
//! - `farm-described` is the described form of an argument, about which no fact is known. Encoding
//!   includes the attempt to use the compact form.
//! - `postcard` and `serde_json` write a new vector and read a slice, as all of the others do.
//!
//! Bytes per second count the bytes of the compact form for all codecs, which are also postcard's.
//! Dropping the result is timed. Each codec's bytes are decoded once and compared with the value.
#![allow(missing_docs, reason = "criterion's macros write undocumented functions")]

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use farm_core::backend::encode_call;
use farm_core::codec::{self, FACTS, Facts, Form};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Runs a scenario with every codec.
macro_rules! with_every_codec {
    ($scenario:ident($group:expr, $value:expr)) => {
        $scenario::<Farm, _>($group, $value);
        $scenario::<FarmKnown, _>($group, $value);
        $scenario::<FarmDescribed, _>($group, $value);
        $scenario::<Postcard, _>($group, $value);
        $scenario::<SerdeJson, _>($group, $value);
    };
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

trait Value: Serialize + DeserializeOwned + PartialEq {}

impl<T: Serialize + DeserializeOwned + PartialEq> Value for T {}

trait Codec {
    const NAME: &'static str;

    /// Makes this process encode such values as the codec's name says.
    fn prepare<T: Value>(_value: &T) {}

    fn encode<T: Value>(value: &T) -> Vec<u8>;

    fn decode<T: Value>(bytes: &[u8]) -> T;
}

struct Farm;

impl Codec for Farm {
    const NAME: &'static str = "farm";

    fn encode<T: Value>(value: &T) -> Vec<u8> {
        codec::encode(value).expect("the compact form holds it")
    }

    fn decode<T: Value>(bytes: &[u8]) -> T {
        codec::decode(bytes).expect("it was encoded")
    }
}

/// Encodes a value as an argument, in the form that the known facts allow.
fn encode_argument<T: Value>(value: &T) -> Vec<u8> {
    encode_call(value).expect("both forms hold it")
}

fn decode_argument<T: Value>(bytes: &[u8], form: Form) -> T {
    /// The size in bytes of the word behind an argument, which says that it has no grants.
    const GRANTS: usize = 4;
    codec::decode_form(&bytes[..bytes.len() - GRANTS], form).expect("it was encoded in this form")
}

struct FarmKnown;

impl Codec for FarmKnown {
    const NAME: &'static str = "farm-known";

    /// Decoding a described value makes its facts known.
    fn prepare<T: Value>(value: &T) {
        forget();
        let described = encode_argument(value);
        assert!(decode_argument::<T>(&described, Form::Described) == *value);
    }

    fn encode<T: Value>(value: &T) -> Vec<u8> {
        encode_argument(value)
    }

    fn decode<T: Value>(bytes: &[u8]) -> T {
        decode_argument(bytes, Form::Compact)
    }
}

struct FarmDescribed;

impl Codec for FarmDescribed {
    const NAME: &'static str = "farm-described";

    fn prepare<T: Value>(_value: &T) {
        forget();
    }

    fn encode<T: Value>(value: &T) -> Vec<u8> {
        encode_argument(value)
    }

    fn decode<T: Value>(bytes: &[u8]) -> T {
        decode_argument(bytes, Form::Described)
    }
}

/// The facts that this process knows.
static KNOWN: Facts = [const { AtomicU64::new(0) }; FACTS];

fn forget() {
    KNOWN.iter().for_each(|fact| fact.store(0, Ordering::Relaxed));
}

struct Postcard;

impl Codec for Postcard {
    const NAME: &'static str = "postcard";

    fn encode<T: Value>(value: &T) -> Vec<u8> {
        postcard::to_stdvec(value).expect("postcard holds it")
    }

    fn decode<T: Value>(bytes: &[u8]) -> T {
        postcard::from_bytes(bytes).expect("it was encoded")
    }
}

struct SerdeJson;

impl Codec for SerdeJson {
    const NAME: &'static str = "serde_json";

    fn encode<T: Value>(value: &T) -> Vec<u8> {
        serde_json::to_vec(value).expect("JSON holds it")
    }

    fn decode<T: Value>(bytes: &[u8]) -> T {
        serde_json::from_slice(bytes).expect("it was encoded")
    }
}

/// Encodes and decodes a value with every codec.
fn compare<T: Value>(criterion: &mut Criterion, name: &str, value: &T) {
    let bytes = Farm::encode(value);
    assert!(bytes == Postcard::encode(value), "the compact form has postcard's bytes");
    let throughput = Throughput::Bytes(bytes.len() as u64);

    let mut group = criterion.benchmark_group(format!("encode/{name}"));
    group.throughput(throughput.clone());
    with_every_codec!(encode(&mut group, value));
    group.finish();

    let mut group = criterion.benchmark_group(format!("decode/{name}"));
    group.throughput(throughput);
    with_every_codec!(decode(&mut group, value));
    group.finish();
}

fn encode<C: Codec, T: Value>(group: &mut Group<'_>, value: &T) {
    C::prepare(value);
    group.bench_function(C::NAME, |bencher| bencher.iter(|| C::encode(black_box(value))));
}

fn decode<C: Codec, T: Value>(group: &mut Group<'_>, value: &T) {
    C::prepare(value);
    let bytes = &*C::encode(value);
    assert!(C::decode::<T>(bytes) == *value, "{} brings the value back", C::NAME);
    group.bench_function(C::NAME, |bencher| bencher.iter(|| C::decode::<T>(black_box(bytes))));
}

#[derive(PartialEq, Serialize, Deserialize)]
struct Record {
    name: String,
    count: u32,
    weight: Option<f64>,
}

impl Record {
    fn random(random: &mut Pcg64) -> Self {
        let length = random.random_range(4..=16);
        Self {
            name: (0..length).map(|_| random.random_range('a'..='z')).collect(),
            count: random.random_range(0..1000),
            weight: random.random::<bool>().then(|| random.random()),
        }
    }
}

fn main() {
    assert!(codec::share(&KNOWN), "nothing has shared facts before");
    // There are many benches, so each is short; arguments can make them longer.
    let criterion = Criterion::default().nresamples(10_000).without_plots().sample_size(20);
    let criterion = criterion.warm_up_time(Duration::from_millis(200));
    let criterion = criterion.measurement_time(Duration::from_millis(600));
    let criterion = &mut criterion.configure_from_args();

    let random = &mut Pcg64::seed_from_u64(1);
    compare(criterion, "tuple", &(random.random::<u64>(), random.random::<f64>()));
    compare(criterion, "record", &Record { weight: Some(0.5), ..Record::random(random) });
    let records: Vec<_> = (0..1000).map(|_| Record::random(random)).collect();
    compare(criterion, "records_1000", &records);
    let numbers: Vec<f64> = (0..1 << 17).map(|_| random.random()).collect();
    compare(criterion, "f64_1MiB", &numbers);
    let bytes: Vec<u8> = (0..8 << 20).map(|_| random.random()).collect();
    compare(criterion, "u8_8MiB", &bytes);
    let array = Array2::from_shape_fn((256, 256), |_| random.random::<f64>());
    compare(criterion, "array_256x256", &array);
    criterion.final_summary();
}
