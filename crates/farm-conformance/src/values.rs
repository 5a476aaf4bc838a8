//! Values of every type reach a task and come back unchanged, or as JSON would change them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Debug;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use farm_core::backend::{Function, encode_call, run};
use farm_core::{Data, Farm, codec};
use proptest::arbitrary::Arbitrary;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Backend;
use types::*;

mod types;

/// Returns the debug output of the argument and the argument itself.
fn see<T: Debug>(value: T) -> (String, T) {
    (format!("{value:?}"), value)
}

/// The value after it was written as JSON and read again, if that is possible.
fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> Option<T> {
    serde_json::from_str(&serde_json::to_string(value).ok()?).ok()
}

/// Whether `seen` is the debug output of the value, or of the value that JSON would give.
fn is_either<T: Serialize + DeserializeOwned + Debug>(seen: &str, sent: &T) -> bool {
    let json = through_json(sent).expect("a value that goes through JSON");
    seen == format!("{sent:?}") || seen == format!("{json:?}")
}

/// Checks the value that a task has seen and the value that has come back.
fn check<T>(value: &T, (seen, back): &(String, T)) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + Debug + Clone,
{
    prop_assert!(is_either(seen, value), "{:?} arrives as {}", value, seen);
    let is_same = *seen == format!("{value:?}");
    let arrived = if is_same { Some(value.clone()) } else { through_json(value) };
    let (arrived, back) = (arrived.expect("it goes through JSON"), format!("{back:?}"));
    prop_assert!(is_either(&back, &arrived), "{} comes back as {}", seen, back);
    Ok(())
}

/// Sends values through the pool, alone and in a map, and checks them. Later values of a type are
/// treated like the first one.
fn go_through<T>(pool: &impl Farm, cases: u32)
where
    T: Serialize + DeserializeOwned + Debug + Clone + Send + Arbitrary + 'static,
{
    let send = |values: Vec<T>| {
        let alone = values.iter().map(|value| pool.apply(see::<T>, value.clone()));
        let alone: Vec<_> = alone.map(|task| task.expect("a value that arrives")).collect();
        let all = pool.map(see::<T>, values.clone()).expect("values that arrive");
        let mut outcomes = values.iter().zip(&alone).chain(values.iter().zip(&all));
        outcomes.try_for_each(|(value, outcome)| check(value, outcome))
    };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(&vec(any::<T>(), 1..9), send) {
        panic!("{}: {error}", std::any::type_name::<T>());
    }
}

/// Some fifty types with generated values go through a pool.
pub fn values_of_every_type_go_through_as_through_json<B: Backend>() {
    let pool = B::pool(2);
    go_through::<Every>(&pool, 400);
    go_through::<Plain>(&pool, 24);
    go_through::<Untagged>(&pool, 24);
    go_through::<LengthUnknown>(&pool, 24);
}

/// Each of these types goes through the codec, as an argument and as a result, without a pool.
pub fn values_of_every_type_go_through_the_codec() {
    fn send<T: Data + Debug>(value: &T) -> (String, T) {
        let function = Function::of(see::<T>).reference().expect("it is in this executable");
        let argument = encode_call(value).expect("a value that is encoded");
        let mut result = Vec::new();
        // SAFETY: the reference and the argument are of this process, and no handle is lent.
        let form = unsafe { run(function, &argument, &mut result) };
        codec::decode_form(&result, form.expect("a value that arrives")).expect("what comes back")
    }
    fn goes_through<T: Data + Debug + Clone + Arbitrary>() {
        let mut runner = TestRunner::default();
        for _ in 0..60 {
            let value = any::<T>().new_tree(&mut runner).expect("a value").current();
            if let Err(error) = check(&value, &send(&value)) {
                panic!("{}: {error}", std::any::type_name::<T>());
            }
        }
    }
    macro_rules! all {
        ($($name:ident)*) => { $(goes_through::<$name>();)* };
    }
    for_every_type!(all!());
    // The types of the pools' tests: their code is compiled here, and not again for each pool.
    all!(Every Plain Untagged LengthUnknown);
}

/// Infinities and NaN, bytes, keys other than text, and nested `Option`s of unit go through, which
/// JSON cannot represent.
pub fn values_that_json_cannot_hold_go_through<B: Backend>() {
    type Keys = BTreeMap<(u8, Option<char>), Vec<u8>>;
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Odd {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_out: Option<u8>,
        numbers: Vec<f64>,
        small: [f32; 3],
        keys: Keys,
        nested: [Option<Option<Option<()>>>; 4],
        #[serde(flatten)]
        rest: BTreeMap<String, Option<u64>>,
    }
    let pool = B::pool(1);
    for left_out in [None, Some(1)] {
        let odd = Odd {
            left_out,
            numbers: vec![f64::NAN, f64::INFINITY, -0.0, f64::MIN_POSITIVE],
            small: [f32::NEG_INFINITY, f32::NAN, 1e-45],
            keys: BTreeMap::from([((1, None), vec![0, 255]), ((1, Some('x')), vec![])]),
            nested: [None, Some(None), Some(Some(None)), Some(Some(Some(())))],
            rest: BTreeMap::from([("x".into(), Some(u64::MAX)), ("y".into(), None)]),
        };
        for _ in 0..3 {
            let (seen, back) = pool.apply(see::<Odd>, odd.clone()).unwrap();
            assert_eq!((seen, format!("{back:?}")), (format!("{odd:?}"), format!("{odd:?}")));
        }
    }
}

/// An error of a value's own `Serialize` or `Deserialize` reaches the caller with its message.
pub fn a_value_that_refuses_says_why<B: Backend>() {
    if !B::ENCODES {
        return;
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(try_from = "u8")]
    struct Odd(u8);
    impl TryFrom<u8> for Odd {
        type Error = String;
        fn try_from(number: u8) -> Result<Self, String> {
            if number % 2 == 1 { Ok(Self(number)) } else { Err(format!("{number} is not odd")) }
        }
    }
    impl From<Odd> for u8 {
        fn from(Odd(number): Odd) -> Self {
            number
        }
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    enum Partly {
        #[serde(skip_serializing)]
        NotSent,
        #[serde(skip_deserializing)]
        NotRead,
    }
    #[derive(Clone, Debug, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Renamed {
        #[serde(rename(serialize = "there", deserialize = "here"))]
        field: u8,
    }
    fn tells<T: Data + Clone + Debug>(pool: &impl Farm, value: T, words: &str) {
        fn id<T>(value: T) -> T {
            value
        }
        for _ in 0..3 {
            let error = pool.apply(id::<T>, value.clone()).unwrap_err().to_string();
            assert!(error.contains(words), "{error}, and not {words}");
        }
    }
    let pool = B::pool(1);
    let path = PathBuf::from(OsString::from_vec(vec![b'a', 0xff]));
    tells(&pool, path, "path contains invalid UTF-8 characters");
    tells(&pool, SystemTime::UNIX_EPOCH - Duration::from_secs(1), "SystemTime must be later than");
    tells(&pool, Odd(2), "2 is not odd");
    tells(&pool, Partly::NotSent, "cannot be serialized");
    tells(&pool, Partly::NotRead, "unknown variant `NotRead`");
    tells(&pool, Renamed { field: 1 }, "unknown field `there`");
    // Results give the same errors.
    fn early(_: ()) -> SystemTime {
        SystemTime::UNIX_EPOCH - Duration::from_secs(1)
    }
    fn even(_: ()) -> Odd {
        Odd(2)
    }
    let error = pool.apply(early, ()).unwrap_err().to_string();
    assert!(error.contains("SystemTime must be later than"), "{error}");
    let error = pool.apply(even, ()).unwrap_err().to_string();
    assert!(error.contains("2 is not odd"), "{error}");
}

/// A recursive value, with each kind of nesting.
#[derive(Default, Serialize, Deserialize)]
enum Deep {
    #[default]
    End,
    Variant(Box<Deep>),
    Named {
        inner: Box<Deep>,
    },
    Sequence(Vec<Deep>),
    Option(Option<Box<Deep>>),
    Map(BTreeMap<u8, Deep>),
}

/// A recursive value that is encoded with field names.
#[derive(Default, Serialize, Deserialize)]
struct Chain {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next: Option<Box<Chain>>,
}

/// A recursive value of an untagged type, which `Deserialize` buffers before it selects a variant.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Looked {
    End(u8),
    Inner { next: Box<Looked> },
}

/// A type that can be taken apart level by level, so that dropping a deep value needs no deep
/// stack.
trait Levels: Data {
    fn of(levels: u32) -> Self;
    fn take_inner(&mut self) -> Option<Self>;
}

macro_rules! dropped_level_by_level {
    ($($type:ident)*) => {$(
        impl Drop for $type {
            fn drop(&mut self) {
                let mut next = self.take_inner();
                while let Some(mut inner) = next {
                    next = inner.take_inner();
                }
            }
        }
    )*};
}

dropped_level_by_level! { Deep Chain Looked }

fn count<T: Levels>(mut value: T) -> u32 {
    let mut levels = 0;
    while let Some(inner) = value.take_inner() {
        value = inner;
        levels += 1;
    }
    levels
}

fn make<T: Levels>(levels: u32) -> T {
    T::of(levels)
}

impl Levels for Deep {
    fn of(levels: u32) -> Self {
        (0..levels).fold(Self::End, |inner, n| match n % 5 {
            0 => Self::Variant(inner.into()),
            1 => Self::Named { inner: inner.into() },
            2 => Self::Sequence(vec![inner]),
            3 => Self::Option(Some(inner.into())),
            _ => Self::Map(BTreeMap::from([(7, inner)])),
        })
    }

    fn take_inner(&mut self) -> Option<Self> {
        match self {
            Self::End => None,
            Self::Variant(inner) | Self::Named { inner } => Some(std::mem::take(inner)),
            Self::Sequence(all) => all.pop(),
            Self::Option(inner) => inner.take().map(|mut inner| std::mem::take(&mut *inner)),
            Self::Map(map) => map.pop_first().map(|(_, inner)| inner),
        }
    }
}

impl Levels for Chain {
    fn of(levels: u32) -> Self {
        (0..levels).fold(Self::default(), |inner, _| Self { next: Some(inner.into()) })
    }

    fn take_inner(&mut self) -> Option<Self> {
        self.next.take().map(|mut next| std::mem::take(&mut *next))
    }
}

impl Levels for Looked {
    fn of(levels: u32) -> Self {
        (0..levels).fold(Self::End(0), |inner, _| Self::Inner { next: inner.into() })
    }

    fn take_inner(&mut self) -> Option<Self> {
        match self {
            Self::Inner { next } => Some(std::mem::replace(next, Self::End(0))),
            Self::End(_) => None,
        }
    }
}

/// Runs `body` on a thread whose stack has the default size of threads.
fn on_a_common_stack(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn_scoped(scope, body).expect("a thread").join().expect("no panic");
    });
}

/// Arguments and results may be nested to any depth.
pub fn values_that_lie_deep_in_each_other_go_through<B: Backend>() {
    fn goes<T: Levels>(pool: &impl Farm, levels: u32) {
        for _ in 0..2 {
            assert_eq!(pool.apply(count::<T>, T::of(levels)).unwrap(), levels);
            assert_eq!(count(pool.apply(make::<T>, levels).unwrap()), levels);
            let all = pool.map(make::<T>, [levels, 3, levels]).unwrap();
            assert!(all.into_iter().map(count).eq([levels, 3, levels]));
        }
    }
    on_a_common_stack(|| {
        let pool = B::pool(1);
        goes::<Deep>(&pool, 20_000);
        goes::<Chain>(&pool, 20_000);
        goes::<Looked>(&pool, 1_000);
    });
}

/// A deep value of an untagged type is an error: its `Deserialize` needs stack for each level, and
/// no more can be added while it runs.
pub fn a_value_that_is_too_deep_to_be_looked_at_first_is_one_clear_error<B: Backend>() {
    on_a_common_stack(|| {
        let pool = B::pool(1);
        // Without encoding a deep value is no error, but dropping it needs stack.
        for _ in 0..usize::from(B::ENCODES) * 2 {
            let submitted = pool.submit(make::<Looked>, 20_000).get();
            let error = submitted.map(count).unwrap_err();
            assert!(error.to_string().contains("more than 1024 deep"), "{error}");
            let error = pool.apply(count::<Looked>, Looked::of(20_000)).unwrap_err();
            assert!(error.to_string().contains("more than 1024 deep"), "{error}");
        }
        assert_eq!(pool.apply(count::<Looked>, Looked::of(9)).unwrap(), 9);
    });
}
