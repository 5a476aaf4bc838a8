//! Types with serde attributes, of which the compact form cannot bring back all values.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::derived::Choice;

/// The variant can be told only by the kinds of its content.
#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Untagged {
    Nothing,
    Flag(bool),
    Number(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    List(Vec<Untagged>),
    Named { first: Option<i8>, second: Box<Untagged> },
    Choice(Choice),
    Map(BTreeMap<String, Option<Untagged>>),
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Tagged {
    Unit,
    WithNames { text_first: String, more_of_them: Vec<Tagged>, choice: Choice },
    Map(BTreeMap<String, Option<i64>>),
    Sparse(Sparse),
    Untagged { inner: Untagged },
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "t", content = "c")]
pub enum Adjacent {
    Unit,
    One(Box<Tagged>),
    Two(u128, f32),
    Named { bytes: Vec<u8>, inner: Option<Box<Adjacent>> },
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Sparse {
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u32>,
    #[serde(rename = "2nd", alias = "second")]
    second: i16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    third: Vec<Option<char>>,
    #[serde(skip)]
    #[arbitrary(default)]
    never: u64,
    #[serde(skip_serializing_if = "is_zero")]
    last: f64,
}

/// The default is not all zeros, so a field that is lost on the way shows.
impl Default for Sparse {
    fn default() -> Self {
        Self { first: None, second: -1, third: Vec::new(), never: 0, last: 0.0 }
    }
}

fn is_zero(number: &f64) -> bool {
    number.to_bits() == 0
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub struct Flat {
    id: u32,
    #[serde(flatten)]
    sparse: Sparse,
    #[serde(flatten)]
    tagged: Option<Box<Tagged>>,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

/// Most variants are written with their name; the last is any other text.
#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
pub enum Open {
    Known,
    Wrapped(Transparent),
    #[serde(untagged)]
    Other(String),
}

#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Transparent {
    inner: Option<Text>,
}

/// A number that is written as text and read from it.
#[derive(Arbitrary, Clone, Debug, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Text(i32);

impl From<Text> for String {
    fn from(Text(number): Text) -> Self {
        format!("<{number}>")
    }
}

impl TryFrom<String> for Text {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.trim_matches(['<', '>']).parse().map(Self)
    }
}

/// Maps whose keys JSON writes as text.
pub(super) type Keyed = (
    BTreeMap<i64, Untagged>,
    BTreeMap<bool, Option<Text>>,
    BTreeMap<char, Json>,
    BTreeMap<u128, Open>,
);

/// Any JSON value, sometimes deeply nested.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Value);

impl<'a> Arbitrary<'a> for Json {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        const DEEPEST: usize = 6;
        let mut value = any_value(u, DEEPEST)?;
        if u.ratio(1, 32)? {
            let times = u.int_in_range(0..=1200)?;
            value = (0..times).fold(value, |inner, _| Value::Array(vec![inner]));
        }
        Ok(Self(value))
    }
}

fn any_value(u: &mut Unstructured<'_>, deepest: usize) -> arbitrary::Result<Value> {
    let kinds = if deepest == 0 { 5 } else { 7 };
    Ok(match u.int_in_range(0..=kinds)? {
        0 => Value::Null,
        1 => u.arbitrary::<bool>()?.into(),
        2 => u.arbitrary::<u64>()?.into(),
        3 => u.arbitrary::<i64>()?.into(),
        4 => u.arbitrary::<f64>()?.into(),
        5 => u.arbitrary::<String>()?.into(),
        6 => {
            let length = u.int_in_range(0..=4)?;
            (0..length).map(|_| any_value(u, deepest - 1)).collect::<Result<Vec<_>, _>>()?.into()
        }
        _ => {
            let length = u.int_in_range(0..=4)?;
            let entry = |_| Ok((u.arbitrary::<String>()?, any_value(u, deepest - 1)?));
            Value::Object((0..length).map(entry).collect::<Result<_, _>>()?)
        }
    })
}
