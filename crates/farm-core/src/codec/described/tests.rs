use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::codec::{Form, Source, decode_form, decode_value, encode_value};

/// Encodes a value as an argument or a result is.
fn send<T: Serialize>(value: &T) -> (Form, Vec<u8>) {
    let mut output = Output::default();
    let form = encode_value(value, &mut output).expect("it encodes");
    (form, output.into_heap())
}

/// In which form a value goes. It arrives as it is.
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
    // Whoever asks for an option takes an empty one.
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
    // However deep, it is made of what is known.
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
    // Whole, it goes compact.
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
    /// Written as one type and read as another, in as many bytes of the compact form.
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
