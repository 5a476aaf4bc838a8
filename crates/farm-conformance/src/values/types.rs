//! Types that together have every attribute of serde that an owned type can have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::strategy::Union;
use proptest_derive::Arbitrary;
use serde::de::DeserializeOwned;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Calls a macro with the names of all types of this module.
macro_rules! for_every_type {
    ($call:ident!($($before:tt)*)) => {
        $call! { $($before)*
            Plain Renamed Skipped SkippedIf SkippedIfNested SkippedOnOneWay Defaults Flattened
            FlattenedOption FlattenedEnum Transparent Converted Tried WithModule BothWays
            Foreign BoundedNumber Strict Expecting External Shortened Other Internal
            InternalOther Adjacent Untagged PartlyUntagged Cased VariantWith NumberKeys OtherKeys
            Deletable LengthUnknown LengthUntrue ByValue Named Units Numbers Texts Addresses
            Times Paths Tree Wrapped Standard Json Toml Decimal Packed Readable Patch Raw
        }
    };
}
pub(super) use for_every_type;

pub(super) type BoundedNumber = Bounded<u16>;

macro_rules! every {
    ($($name:ident)*) => {
        /// A value of any of the types. A pool sees one type, so its code is compiled once and not
        /// for each type.
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(super) enum Every {
            $($name($name),)*
        }

        impl Arbitrary for Every {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                Union::new([$(any::<$name>().prop_map(Self::$name).boxed(),)*]).boxed()
            }
        }
    };
}
for_every_type!(every!());

macro_rules! types {
    ($($item:item)*) => {$(
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Arbitrary)]
        $item
    )*};
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn seven() -> u32 {
    7
}

fn finite() -> BoxedStrategy<f64> {
    (prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL).boxed()
}

fn short<T: Arbitrary + 'static>() -> BoxedStrategy<Vec<T>> {
    prop::collection::vec(any::<T>(), 0..4).boxed()
}

types! {
    pub(super) struct Plain {
        a: u8,
        b: (i16, Option<String>),
        #[proptest(strategy = "short()")]
        c: Vec<Option<bool>>,
    }

    #[serde(rename = "somebody", rename_all = "camelCase")]
    pub(super) struct Renamed {
        #[serde(rename = "a name with spaces")]
        first: String,
        #[serde(alias = "second", alias = "zweiter")]
        the_second: u8,
        r#type: i64,
    }

    pub(super) struct Skipped {
        before: u8,
        #[serde(skip)]
        cached: u32,
        #[serde(skip, default = "seven")]
        seven: u32,
        after: i64,
    }

    pub(super) struct SkippedIf {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        retries: u32,
        seed: Option<u32>,
        #[serde(default = "seven", skip_serializing_if = "is_zero")]
        seven: u32,
    }

    pub(super) struct SkippedIfNested {
        #[proptest(strategy = "short()")]
        all: Vec<SkippedIf>,
        one: Option<Box<SkippedIf>>,
        last: u8,
    }

    pub(super) struct SkippedOnOneWay {
        #[serde(skip_serializing, default)]
        not_written: u16,
        #[serde(skip_deserializing)]
        not_read: u16,
        both: u16,
    }

    #[serde(default)]
    pub(super) struct Defaults {
        #[serde(skip_serializing_if = "String::is_empty")]
        text: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        #[proptest(strategy = "short()")]
        numbers: Vec<u8>,
        end: i8,
    }

    pub(super) struct Flattened {
        id: u64,
        #[serde(flatten)]
        inner: Plain,
        #[serde(flatten)]
        skipped: SkippedIf,
        #[serde(flatten)]
        #[proptest(strategy = "extras()")]
        rest: BTreeMap<String, i32>,
    }

    pub(super) struct FlattenedOption {
        id: u32,
        #[serde(flatten)]
        inner: Option<Renamed>,
    }

    pub(super) struct FlattenedEnum {
        id: i32,
        #[serde(flatten)]
        what: Internal,
        #[serde(flatten)]
        adjacent: Adjacent,
    }

    #[serde(transparent)]
    pub(super) struct Transparent {
        inner: SkippedIf,
        #[serde(skip)]
        nothing: PhantomData<u8>,
    }

    #[serde(from = "String", into = "String")]
    pub(super) struct Converted(i64);

    #[serde(try_from = "(u8, u8)", into = "(u8, u8)")]
    pub(super) struct Tried {
        #[proptest(strategy = "0..100_u8")]
        least: u8,
        #[proptest(strategy = "100..200_u8")]
        most: u8,
    }

    pub(super) struct WithModule {
        #[serde(with = "hex")]
        #[proptest(strategy = "short()")]
        bytes: Vec<u8>,
        end: bool,
    }

    pub(super) struct BothWays {
        #[serde(serialize_with = "write_seconds", deserialize_with = "read_seconds")]
        time: Duration,
        #[serde(serialize_with = "write_seconds", deserialize_with = "read_seconds")]
        again: Duration,
    }

    pub(super) struct Foreign {
        #[serde(with = "PointDefinition")]
        #[proptest(strategy = "any::<(i32, i32)>().prop_map(|(x, y)| elsewhere::Point::new(x, y))")]
        point: elsewhere::Point,
    }

    #[serde(bound = "T: Serialize + DeserializeOwned", crate = "serde")]
    pub(super) struct Bounded<T> where T: Arbitrary + 'static {
        #[serde(bound = "T: Serialize + DeserializeOwned")]
        #[proptest(strategy = "short()")]
        many: Vec<T>,
    }

    #[serde(deny_unknown_fields)]
    pub(super) struct Strict {
        a: Option<Option<u8>>,
        #[serde(skip_serializing_if = "is_zero", default)]
        b: u32,
    }

    #[serde(expecting = "something special")]
    pub(super) struct Expecting(u8, String);

    pub(super) enum External {
        Nothing,
        One(u32),
        Two(u32, Option<String>),
        Named { a: i8, #[serde(skip)] b: u32, c: Option<bool> },
        Inner(Box<SkippedIf>),
    }

    pub(super) enum Shortened {
        #[serde(skip)]
        #[proptest(skip)]
        #[allow(dead_code)]
        Cached,
        Red,
        #[serde(skip)]
        #[proptest(skip)]
        #[allow(dead_code)]
        Mixed(u8),
        Green(u8),
        Blue { value: u32 },
    }

    pub(super) enum Other {
        A,
        B,
        #[serde(other)]
        Unknown,
    }

    #[serde(tag = "kind")]
    pub(super) enum Internal {
        Nothing,
        Wrapped(Renamed),
        Named { a: u32, text: Option<String> },
        #[serde(rename = "with spaces")]
        Skipping { #[serde(default, skip_serializing_if = "is_zero")] a: u32, b: u32 },
    }

    #[serde(tag = "kind", rename_all = "kebab-case")]
    pub(super) enum InternalOther {
        FirstOne { a: u8 },
        #[serde(other, skip_serializing)]
        #[proptest(skip)]
        #[allow(dead_code)]
        Unknown,
    }

    #[serde(tag = "t", content = "c")]
    pub(super) enum Adjacent {
        Nothing,
        One(u16),
        Two(i8, String),
        Named { a: Option<u32> },
    }

    #[serde(untagged)]
    pub(super) enum Untagged {
        Flag(bool),
        Whole(i64),
        Text(String),
        Pair(bool, i32),
        Named { a: i32 },
        OtherName { #[proptest(strategy = "inner()")] b: Option<Box<Untagged>>, c: u8 },
        Nothing,
    }

    pub(super) enum PartlyUntagged {
        Known(u8),
        Named { a: u8 },
        #[serde(untagged)]
        Anything(#[proptest(strategy = "json()")] serde_json::Value),
    }

    #[serde(rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
    pub(super) enum Cased {
        FirstOne { some_field: u8, #[serde(rename = "X")] other_field: u8 },
        #[serde(alias = "later")]
        TheSecond,
        LastOfAll(u8),
    }

    pub(super) enum VariantWith {
        #[serde(with = "hex")]
        Hex(#[proptest(strategy = "short()")] Vec<u8>),
        #[serde(serialize_with = "write_seconds", deserialize_with = "read_seconds")]
        Time(Duration),
        Plain(u8),
    }

    pub(super) struct NumberKeys {
        #[proptest(strategy = "map()")]
        whole: BTreeMap<i64, String>,
        #[proptest(strategy = "map()")]
        bytes: BTreeMap<u8, SkippedIf>,
        #[proptest(strategy = "map()")]
        wide: BTreeMap<u64, ()>,
    }

    pub(super) struct OtherKeys {
        #[proptest(strategy = "map()")]
        flags: BTreeMap<bool, u8>,
        #[proptest(strategy = "map()")]
        chars: BTreeMap<char, u8>,
        #[proptest(strategy = "map()")]
        variants: BTreeMap<Key, u8>,
        #[proptest(strategy = "map()")]
        converted: BTreeMap<IpAddr, u8>,
    }

    #[derive(Eq, PartialOrd, Ord)]
    pub(super) enum Key {
        #[serde(rename = "the first")]
        First,
        Second,
    }

    pub(super) struct Deletable {
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "is_there")]
        value: Option<Option<u8>>,
        end: u8,
    }

    pub(super) struct LengthUnknown {
        #[serde(serialize_with = "without_length")]
        #[proptest(strategy = "short()")]
        numbers: Vec<u32>,
        #[serde(serialize_with = "map_without_length")]
        #[proptest(strategy = "map()")]
        map: BTreeMap<u8, Option<u8>>,
        end: u8,
    }

    pub(super) struct LengthUntrue {
        #[serde(serialize_with = "with_another_length")]
        #[proptest(strategy = "short()")]
        numbers: Vec<u32>,
        end: u8,
    }

    pub(super) struct Units(Unit, (), PhantomData<String>, [(); 3]);

    pub(super) struct Unit;

    pub(super) struct Numbers {
        unsigned: (u8, u16, u32, u64, u128),
        signed: (i8, i16, i32, i64, i128),
        sizes: (usize, isize),
        #[proptest(strategy = "prop::collection::vec(finite(), 0..4)")]
        reals: Vec<f64>,
        #[proptest(strategy = "finite().prop_map(|x| (x as f32).clamp(f32::MIN, f32::MAX))")]
        small: f32,
        not_zero: std::num::NonZeroI16,
        wrapping: std::num::Wrapping<u64>,
    }

    pub(super) struct Texts {
        text: String,
        letter: char,
        boxed: Box<str>,
        #[serde(with = "serde_bytes")]
        #[proptest(strategy = "short()")]
        bytes: Vec<u8>,
        #[proptest(strategy = "any::<String>().prop_map(Cow::Owned)")]
        cow: Cow<'static, str>,
    }

    pub(super) struct Addresses(IpAddr, SocketAddr, Option<std::net::Ipv6Addr>);

    pub(super) struct Times {
        #[proptest(strategy = "any::<(u64, u32)>().prop_map(|(s, n)| Duration::new(s >> 1, n % 1_000_000_000))")]
        duration: Duration,
        #[proptest(strategy = "any::<u32>().prop_map(|s| SystemTime::UNIX_EPOCH + Duration::from_millis(s.into()))")]
        time: SystemTime,
    }

    pub(super) struct Paths(#[proptest(strategy = "\"[a-z/]{0,9}\".prop_map(PathBuf::from)")] PathBuf, u8);

    #[serde(untagged)]
    pub(super) enum Tree {
        Leaf(u16),
        #[proptest(no_params)]
        Branch(#[proptest(strategy = "leaves()")] Vec<Tree>),
    }

    pub(super) struct Wrapped(SkippedIf);

    pub(super) struct Standard {
        range: std::ops::Range<u8>,
        outcome: Result<u8, Option<SkippedIf>>,
        array: [Option<u8>; 3],
        #[proptest(strategy = "prop::collection::hash_map(any::<u8>(), any::<u8>(), 0..2)")]
        hashed: HashMap<u8, u8>,
        #[proptest(strategy = "prop::collection::btree_set(any::<i32>(), 0..4)")]
        set: BTreeSet<i32>,
        shared: Box<[u16; 2]>,
        reversed: std::cmp::Reverse<u8>,
    }

    pub(super) struct Json(#[proptest(strategy = "json()")] serde_json::Value, u8);

    pub(super) struct Toml {
        #[proptest(strategy = "toml()")]
        value: toml::Value,
        end: u8,
    }

    pub(super) struct Decimal {
        #[proptest(strategy = "any::<(i64, i8)>().prop_map(|(n, e)| decimal(n, e))")]
        value: bigdecimal::BigDecimal,
        end: u8,
    }

    /// A value that contains others, of which some are encoded with names and some without.
    pub(super) struct Packed {
        plain: Plain,
        tagged: Internal,
        external: External,
        #[proptest(strategy = "short()")]
        many: Vec<Shortened>,
        untagged: Untagged,
        #[proptest(strategy = "short()")]
        pairs: Vec<(Adjacent, Option<SkippedIf>)>,
    }

    pub(super) struct Patch {
        #[serde(flatten)]
        change: Change,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[proptest(strategy = "map()")]
        labels: BTreeMap<String, Option<u8>>,
    }

    pub(super) enum Change {
        Set(Plain),
        Move { to: i8 },
        Clear(Option<u8>),
    }

    pub(super) struct Raw {
        #[serde(rename = "$serde_json::private::Number")]
        looks_special: String,
        #[serde(rename = "")]
        without_name: u8,
    }
}

fn map<K: Arbitrary + Ord + 'static, V: Arbitrary + 'static>() -> BoxedStrategy<BTreeMap<K, V>> {
    prop::collection::btree_map(any::<K>(), any::<V>(), 0..3).boxed()
}

/// A map whose keys are not names of fields.
fn extras() -> BoxedStrategy<BTreeMap<String, i32>> {
    prop::collection::btree_map("x[0-9]{1,3}", any::<i32>(), 0..3).boxed()
}

fn inner() -> BoxedStrategy<Option<Box<Untagged>>> {
    let some = prop_oneof![
        any::<bool>().prop_map(Untagged::Flag),
        any::<String>().prop_map(Untagged::Text),
        any::<(bool, i32)>().prop_map(|(a, b)| Untagged::Pair(a, b)),
        any::<i32>().prop_map(|a| Untagged::Named { a }),
    ];
    prop::option::of(some.prop_map(Box::new)).boxed()
}

fn leaves() -> BoxedStrategy<Vec<Tree>> {
    let leaf = any::<u16>().prop_map(Tree::Leaf);
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec(inner, 0..3).prop_map(Tree::Branch)
    });
    prop::collection::vec(tree, 0..3).boxed()
}

fn json() -> BoxedStrategy<serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        finite().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 20, 4, |inner| {
        let pair = (any::<String>(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(pair, 0..4)
                .prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    });
    value.boxed()
}

fn toml() -> BoxedStrategy<toml::Value> {
    use toml::Value;
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        finite().prop_map(Value::Float),
        "[a-z ]{0,9}".prop_map(Value::String),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        let pair = ("[a-z]{1,5}", inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
            prop::collection::vec(pair, 0..3)
                .prop_map(|all| Value::Table(all.into_iter().collect())),
        ]
    });
    value.boxed()
}

fn decimal(digits: i64, scale: i8) -> bigdecimal::BigDecimal {
    bigdecimal::BigDecimal::new(digits.into(), scale.into())
}

impl Default for Defaults {
    fn default() -> Self {
        Self { text: "none".into(), numbers: vec![1, 2], end: 3 }
    }
}

impl From<String> for Converted {
    fn from(text: String) -> Self {
        Self(text.trim_matches(['<', '>']).parse().unwrap_or(-1))
    }
}

impl From<Converted> for String {
    fn from(Converted(number): Converted) -> Self {
        format!("<{number}>")
    }
}

impl TryFrom<(u8, u8)> for Tried {
    type Error = String;

    fn try_from((least, most): (u8, u8)) -> Result<Self, String> {
        if least <= most { Ok(Self { least, most }) } else { Err(format!("{least} > {most}")) }
    }
}

impl From<Tried> for (u8, u8) {
    fn from(Tried { least, most }: Tried) -> Self {
        (least, most)
    }
}

mod hex {
    use super::*;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        text.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).unwrap_or_default());
        let bytes: Result<_, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
        bytes.map_err(serde::de::Error::custom)
    }
}

fn write_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    (time.as_secs(), time.subsec_nanos()).serialize(serializer)
}

fn read_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let (seconds, nanoseconds) = Deserialize::deserialize(from)?;
    Ok(Duration::new(seconds, nanoseconds))
}

/// Reads a value that is present as `Some`, whether it is null or not.
fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u8>>, D::Error> {
    Deserialize::deserialize(from).map(Some)
}

fn without_length<S: Serializer>(numbers: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(None)?;
    numbers.iter().try_for_each(|number| seq.serialize_element(number))?;
    seq.end()
}

fn with_another_length<S: Serializer>(numbers: &[u32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut seq = serializer.serialize_seq(Some(2))?;
    numbers.iter().try_for_each(|number| seq.serialize_element(number))?;
    seq.end()
}

fn map_without_length<S: Serializer>(
    map: &BTreeMap<u8, Option<u8>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut entries = serializer.serialize_map(None)?;
    map.iter().try_for_each(|(key, value)| entries.serialize_entry(key, value))?;
    entries.end()
}

/// Stands for another crate.
mod elsewhere {
    #[allow(unreachable_pub)]
    #[derive(Clone, Debug, PartialEq)]
    pub struct Point {
        x: i32,
        pub(super) y: i32,
    }

    impl Point {
        pub(super) fn new(x: i32, y: i32) -> Self {
            Self { x, y }
        }

        pub(super) fn x(&self) -> i32 {
            self.x
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "elsewhere::Point")]
struct PointDefinition {
    #[serde(getter = "elsewhere::Point::x")]
    x: i32,
    y: i32,
}

impl From<PointDefinition> for elsewhere::Point {
    fn from(PointDefinition { x, y }: PointDefinition) -> Self {
        Self::new(x, y)
    }
}

/// Encoded as text, as a number or as a sequence, depending on the value.
#[derive(Clone, Debug, PartialEq, Arbitrary)]
pub(super) struct ByValue(u16);

impl Serialize for ByValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 4 {
            0 => serializer.serialize_u16(self.0),
            1 => self.0.to_string().serialize(serializer),
            2 => [self.0, self.0].serialize(serializer),
            _ => Some(self.0).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ByValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Any {
            Number(u16),
            Text(String),
            Pair(u16, #[allow(dead_code)] u16),
        }
        match Any::deserialize(from)? {
            Any::Number(number) | Any::Pair(number, _) => Ok(Self(number)),
            Any::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// A type that is encoded as a map whose keys are variants of an enum.
#[derive(Clone, Debug, PartialEq, Arbitrary)]
pub(super) struct Named {
    first: u8,
    second: Option<u8>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum FieldName {
    First,
    Second,
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + usize::from(self.second.is_some())))?;
        if let Some(second) = self.second {
            map.serialize_entry("second", &second)?;
        }
        map.serialize_entry("first", &self.first)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = Named;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Named, A::Error> {
                let mut named = Named { first: 0, second: None };
                while let Some(field) = map.next_key()? {
                    match field {
                        FieldName::First => named.first = map.next_value()?,
                        FieldName::Second => named.second = Some(map.next_value()?),
                    }
                }
                Ok(named)
            }
        }
        from.deserialize_map(Fields)
    }
}

/// Encoded differently in human-readable formats.
#[derive(Clone, Debug, PartialEq, Arbitrary)]
pub(super) struct Readable {
    number: u32,
    rest: SkippedIf,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Bytes([u8; 4]),
}

impl Serialize for Readable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = if serializer.is_human_readable() {
            Number::Text(self.number.to_string())
        } else {
            Number::Bytes(self.number.to_le_bytes())
        };
        (number, &self.rest).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (number, rest) = if from.is_human_readable() {
            let (text, rest): (String, SkippedIf) = Deserialize::deserialize(from)?;
            (text.parse().map_err(serde::de::Error::custom)?, rest)
        } else {
            let (bytes, rest) = Deserialize::deserialize(from)?;
            (u32::from_le_bytes(bytes), rest)
        };
        Ok(Self { number, rest })
    }
}
