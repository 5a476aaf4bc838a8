use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::wire::codec::{Form, Source, decode_form, decode_value, encode_value};

/// Encodes a value as arguments and results are encoded.
fn send<T: Serialize>(value: &T) -> (Form, Vec<u8>) {
    let mut output = Output::default();
    let form = encode_value(value, &mut output).expect("it encodes");
    (form, output.into_heap())
}

/// The form in which a value goes. Asserts that the value comes back unchanged.
fn form_of<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) -> Form {
    let (form, bytes) = send(value);
    assert_eq!(&decode_form::<T>(&bytes, form).expect("it decodes"), value);
    form
}

fn is_read_exactly(bytes: &[u8]) -> bool {
    Parts::of(bytes).expect("it is described").is_exact
}

#[test]
fn a_value_goes_described_once_and_then_compact() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Plain {
        name: String,
        corners: Vec<(f64, Option<u8>)>,
    }
    let plain = |corners| Plain { name: "square".to_owned(), corners };
    assert_eq!(form_of(&plain(vec![(1.0, Some(2))])), Form::Described);
    assert_eq!(form_of(&plain(vec![(1.5, Some(3)); 20])), Form::Compact);
    // A `Deserialize` that asks for an option takes an empty one.
    assert_eq!(form_of(&plain(vec![(1.5, None)])), Form::Compact);
}

#[test]
fn an_element_of_a_sequence_that_was_empty_is_not_known() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row(Vec<Option<Vec<String>>>);
    for row in [vec![], vec![None], vec![Some(vec![])], vec![Some(vec![String::new()])]] {
        let row = Row(row);
        assert_eq!(form_of(&row), Form::Described, "{row:?}");
        assert_eq!(form_of(&row), Form::Compact, "{row:?}");
    }
}

#[test]
fn variants_and_values_in_values_are_known_one_by_one() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Tree {
        Leaf(i32),
        Fork(Box<Tree>, Box<Tree>),
        Named { name: String, tree: Box<Tree> },
    }
    let leaf = || Box::new(Tree::Leaf(-3));
    let fork = |left, right| Box::new(Tree::Fork(left, right));
    assert_eq!(form_of(&Tree::Leaf(1)), Form::Described);
    assert_eq!(form_of(&Tree::Leaf(2)), Form::Compact);
    assert_eq!(form_of(&*fork(leaf(), leaf())), Form::Described);
    // A tree of any depth is made of known parts.
    let deep = |depth| (0..depth).fold(leaf(), |tree, _| fork(tree, leaf()));
    assert_eq!(form_of(&*fork(leaf(), deep(3))), Form::Described);
    assert_eq!(form_of(&*fork(leaf(), deep(100))), Form::Compact);
    let named = || Tree::Named { name: "n".to_owned(), tree: leaf() };
    assert_eq!(form_of(&*fork(leaf(), Box::new(named()))), Form::Described);
    assert_eq!(form_of(&*fork(leaf(), Box::new(named()))), Form::Compact);
}

#[test]
fn a_value_that_leaves_out_a_field_is_described_each_time() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sparse {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        first: Option<u32>,
        second: u32,
    }
    for _ in 0..3 {
        assert_eq!(form_of(&Sparse { first: None, second: 1 }), Form::Described);
    }
    // With all its fields, the value goes in the compact form.
    assert_eq!(form_of(&Sparse { first: Some(1), second: 1 }), Form::Described);
    assert_eq!(form_of(&Sparse { first: Some(2), second: 1 }), Form::Compact);
}

#[test]
fn a_type_that_asks_for_names_is_no_more_read_exactly() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
    }
    let (form, bytes) = send(&Either::Number(3));
    assert!(form == Form::Described && is_read_exactly(&bytes));
    assert_eq!(decode_form::<Either>(&bytes, form), Ok(Either::Number(3)));
    let (form, bytes) = send(&Either::Number(4));
    assert!(form == Form::Described && !is_read_exactly(&bytes));
    assert_eq!(Parts::of(&bytes).expect("it is described").facts.len(), 0);
    assert_eq!(decode_form::<Either>(&bytes, form), Ok(Either::Number(4)));
    assert_eq!(form_of(&Either::Text("four".to_owned())), Form::Described);
}

#[test]
fn a_variant_that_asks_for_names_leaves_others_as_they_are() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u32),
        Text(String),
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Message {
        Either(Either),
        Numbers(Vec<u32>),
    }
    for n in 0..3 {
        assert_eq!(form_of(&Message::Either(Either::Number(n))), Form::Described);
    }
    assert_eq!(form_of(&Message::Numbers(vec![1])), Form::Described);
    assert_eq!(form_of(&Message::Numbers(vec![2, 3])), Form::Compact);
}

#[test]
fn an_exact_reading_refuses_what_the_compact_form_would_take_for_something_else() {
    /// It is written as a pair, and read as a map.
    #[derive(Debug, PartialEq)]
    struct Shifted(u32);
    impl Serialize for Shifted {
        fn serialize<S: serde::Serializer>(
            &self,
            serializer: S,
        ) -> std::result::Result<S::Ok, S::Error> {
            (self.0, 7_u32).serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Shifted {
        fn deserialize<D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> std::result::Result<Self, D::Error> {
            let map = BTreeMap::<u32, u32>::deserialize(deserializer)?;
            Ok(Self(map.into_keys().next().unwrap_or(0)))
        }
    }
    for _ in 0..2 {
        let (form, bytes) = send(&Shifted(1));
        assert_eq!(form, Form::Described);
        assert!(decode_form::<Shifted>(&bytes, form).is_err(), "a pair is no map");
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Unit,
    Named { text: String, more: Vec<Tagged> },
    Map(BTreeMap<String, Option<i64>>),
}

fn tagged() -> impl Strategy<Value = Tagged> {
    let leaf = prop_oneof![
        Just(Tagged::Unit),
        prop::collection::btree_map(".{0,4}", any::<Option<i64>>(), 0..3).prop_map(Tagged::Map),
    ];
    leaf.prop_recursive(4, 20, 3, |inner| {
        (".{0,4}", prop::collection::vec(inner, 0..3))
            .prop_map(|(text, more)| Tagged::Named { text, more })
    })
}

proptest! {
    #[test]
    fn damaged_bytes_are_a_value_or_an_error(
        value in tagged(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut output = Output::default();
        encode(&value, &mut output).expect("it encodes");
        let mut bytes = output.into_heap();
        prop_assert_eq!(&decode::<Tagged>(&bytes, || ()).expect("it decodes"), &value);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = decode_value::<Tagged>(Source::Own(&bytes), Form::Described);
        let _ = decode_value::<(u8, Option<String>)>(Source::Own(&bytes), Form::Described);
    }
}

/// Asserts that values which JSON brings back arrive unchanged, the first time and again.
fn goes_as_through_json<T>(values: &[T])
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    for value in values.iter().chain(values) {
        let json = serde_json::to_string(value).expect("JSON has it");
        assert_eq!(&serde_json::from_str::<T>(&json).expect("JSON brings it back"), value);
        form_of(value);
    }
}

#[test]
fn a_deserialize_that_goes_on_after_an_error_is_not_read_exactly() {
    fn lenient<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Option<u32>, D::Error> {
        Ok(u32::deserialize(deserializer).ok())
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Lenient {
        #[serde(deserialize_with = "lenient")]
        x: Option<u32>,
        y: u8,
    }
    goes_as_through_json(&[Some(5), None, None].map(|x| Lenient { x, y: 7 }));

    #[derive(Debug, PartialEq, Serialize)]
    struct Null;
    impl<'de> Deserialize<'de> for Null {
        fn deserialize<D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> std::result::Result<Self, D::Error> {
            let _ = serde_json::Value::deserialize(deserializer);
            Ok(Self)
        }
    }
    goes_as_through_json(&[vec![Null], vec![Null, Null], vec![]]);
}

#[test]
fn variants_that_are_counted_otherwise_go_by_their_names() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Skipped {
        #[serde(skip)]
        #[expect(dead_code, reason = "it is in the way of numbers")]
        A,
        #[serde(alias = "b0")]
        B,
        C,
        D,
    }
    goes_as_through_json(&[Skipped::C, Skipped::D, Skipped::B]);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Aliased {
        #[serde(alias = "a0")]
        A,
        #[serde(skip)]
        #[expect(dead_code, reason = "it is in the way of numbers")]
        S,
        B(u8),
        #[serde(other)]
        O,
    }
    goes_as_through_json(&[Aliased::B(1), Aliased::O, Aliased::A]);
}

/// Types behind a trait object, where only the written bytes tell them apart.
mod erased {
    use super::*;

    trait Command: erased_serde::Serialize + std::fmt::Debug {
        fn tag(&self) -> u8;
    }
    erased_serde::serialize_trait_object!(Command);

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    enum Mode {
        A,
        #[serde(skip)]
        #[expect(dead_code, reason = "it is in the way of numbers")]
        Internal,
        B,
        C,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    enum Colour {
        Red,
        Green,
        Blue,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct SetMode {
        mode: Mode,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Paint {
        colour: Colour,
    }

    impl Command for SetMode {
        fn tag(&self) -> u8 {
            0
        }
    }

    impl Command for Paint {
        fn tag(&self) -> u8 {
            1
        }
    }

    #[derive(Debug)]
    struct Any(Box<dyn Command>);

    impl Serialize for Any {
        fn serialize<S: serde::Serializer>(
            &self,
            serializer: S,
        ) -> std::result::Result<S::Ok, S::Error> {
            (self.0.tag(), &self.0).serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Any {
        fn deserialize<D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> std::result::Result<Self, D::Error> {
            struct Pair;
            impl<'de> serde::de::Visitor<'de> for Pair {
                type Value = Any;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a tag and a command")
                }
                fn visit_seq<A: serde::de::SeqAccess<'de>>(
                    self,
                    mut seq: A,
                ) -> std::result::Result<Any, A::Error> {
                    Ok(Any(match seq.next_element::<u8>()? {
                        Some(0) => Box::new(seq.next_element::<SetMode>()?.expect("a mode")),
                        _ => Box::new(seq.next_element::<Paint>()?.expect("a colour")),
                    }))
                }
            }
            deserializer.deserialize_tuple(2, Pair)
        }
    }

    impl PartialEq for Any {
        fn eq(&self, other: &Self) -> bool {
            format!("{self:?}") == format!("{other:?}")
        }
    }

    #[test]
    fn types_that_are_erased_are_not_taken_for_each_other() {
        let mode = |mode| Any(Box::new(SetMode { mode }));
        let paint = |colour| Any(Box::new(Paint { colour }));
        goes_as_through_json(&[mode(Mode::A), paint(Colour::Blue), mode(Mode::B)]);
    }
}

#[test]
fn a_field_that_is_read_as_another_type_is_known_by_its_variants() {
    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    enum Old {
        A,
        B,
        C,
    }
    #[derive(Deserialize)]
    enum New {
        A,
        C,
        B,
    }
    fn read_as_new<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Old, D::Error> {
        Ok(match New::deserialize(deserializer)? {
            New::A => Old::A,
            New::B => Old::B,
            New::C => Old::C,
        })
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Renamed {
        #[serde(deserialize_with = "read_as_new")]
        t: Old,
    }
    goes_as_through_json(&[Renamed { t: Old::A }]);
    goes_as_through_json(&[Old::B, Old::C]);
    goes_as_through_json(&[Old::B, Old::C].map(|t| Renamed { t }));
}

#[test]
fn a_narrow_float_that_is_read_as_a_wide_one_is_what_json_makes_of_it() {
    fn narrow<S: serde::Serializer>(
        x: &f64,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_f32(*x as f32)
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Narrow(#[serde(serialize_with = "narrow")] f64);
    goes_as_through_json(&[Narrow(0.1), Narrow(-1e20), Narrow(0.0)]);
}

#[test]
fn elements_of_no_size_are_counted_by_what_is_there() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nothing;
    goes_as_through_json(&[vec![(); 1000], vec![()], vec![]]);
    goes_as_through_json(&[vec![[0_u8; 0]; 3]]);
    goes_as_through_json(&[vec![Nothing, Nothing]]);
    assert_eq!(form_of(&BTreeMap::from([((), ())])), Form::Described);
    let many = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert!(decode_form::<Vec<()>>(&many, Form::Compact).is_err());
    assert!(decode_form::<BTreeMap<(), ()>>(&many, Form::Compact).is_err());
    assert!(decode_form::<Vec<[u8; 0]>>(&many, Form::Compact).is_err());
}

#[test]
fn a_depth_that_is_not_told_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Nested {
        Number(u8),
        Items(Vec<Nested>),
    }
    const DEPTH: usize = 100_000;
    let mut bytes = Vec::new();
    (0..DEPTH).for_each(|_| bytes.extend([20, 1]));
    bytes.extend([8, 1]);
    bytes.extend([0; DEPTH]);
    bytes.extend([0; 4 * WORD]);
    assert!(decode_form::<Nested>(&bytes, Form::Described).is_err());
    assert!(decode_form::<serde_json::Value>(&bytes, Form::Described).is_err());
}

#[test]
fn a_value_that_would_take_all_memory_for_its_stack_is_refused() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(Option<Box<List>>);
    let bytes = vec![1; 20_000_000];
    let error = decode_form::<List>(&bytes, Form::Compact).unwrap_err().to_string();
    assert!(error.contains("so deep"), "{error}");
}

#[test]
fn stacks_that_the_program_makes_are_looked_at_each_time() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct List(Option<Box<List>>);
    fn is_sent(depth: usize) {
        let list = (0..depth).fold(List(None), |list, _| List(Some(Box::new(list))));
        let (form, bytes) = send(&list);
        let back = decode_form::<List>(&bytes, form).expect("it decodes");
        for mut list in [list, back] {
            let mut levels = 0;
            while let Some(inner) = list.0.take() {
                list = *inner;
                levels += 1;
            }
            assert_eq!(levels, depth);
        }
    }
    for stack in [64 << 20, 1 << 20, 8 << 20, 1 << 20] {
        stacker::grow(stack, || is_sent(1));
        stacker::grow(1 << 20, || is_sent(20_000));
    }
    is_sent(20_000);
}

#[test]
fn numbers_and_texts_are_asked_for_as_json_allows() {
    /// It accepts only numbers without a sign.
    #[derive(Debug, PartialEq)]
    struct Unsigned(i64);
    impl Serialize for Unsigned {
        fn serialize<S: serde::Serializer>(
            &self,
            serializer: S,
        ) -> std::result::Result<S::Ok, S::Error> {
            serializer.serialize_i64(self.0)
        }
    }
    impl<'de> Deserialize<'de> for Unsigned {
        fn deserialize<D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> std::result::Result<Self, D::Error> {
            struct Number;
            impl serde::de::Visitor<'_> for Number {
                type Value = Unsigned;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a number without a sign")
                }
                fn visit_u64<E>(self, number: u64) -> std::result::Result<Unsigned, E> {
                    Ok(Unsigned(number as i64))
                }
            }
            deserializer.deserialize_any(Number)
        }
    }
    goes_as_through_json(&[Unsigned(5), Unsigned(1 << 40)]);

    /// It is written as a number if it looks like one, and accepts only text.
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Text(String);
    impl<'de> Deserialize<'de> for Text {
        fn deserialize<D: serde::Deserializer<'de>>(
            deserializer: D,
        ) -> std::result::Result<Self, D::Error> {
            struct Any;
            impl serde::de::Visitor<'_> for Any {
                type Value = Text;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("text")
                }
                fn visit_str<E>(self, text: &str) -> std::result::Result<Text, E> {
                    Ok(Text(text.to_owned()))
                }
            }
            deserializer.deserialize_any(Any)
        }
    }
    impl Serialize for Text {
        fn serialize<S: serde::Serializer>(
            &self,
            serializer: S,
        ) -> std::result::Result<S::Ok, S::Error> {
            match (self.0.parse::<i32>(), self.0.parse::<f64>()) {
                (Ok(number), _) => serializer.serialize_i32(number),
                (_, Ok(number)) => serializer.serialize_f64(number),
                _ => serializer.serialize_str(&self.0),
            }
        }
    }
    let texts = ["5", "-3", "five", "2.5", "1000000.0"].map(|text| (Text(text.to_owned()), 1));
    goes_as_through_json(&[BTreeMap::from(texts)]);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Numbered {
        #[serde(rename = "7")]
        seven: u8,
    }
    let (form, bytes) = send(&Numbered { seven: 1 });
    assert_eq!(decode_form(&bytes, form), Ok(BTreeMap::from([(7_u32, 1_u8)])));

    let raw = serde_json::value::RawValue::from_string("[1, 2]".to_owned()).unwrap();
    let (form, bytes) = send(&raw);
    let back = decode_form::<Box<serde_json::value::RawValue>>(&bytes, form).unwrap();
    assert_eq!(back.get(), raw.get());
}
