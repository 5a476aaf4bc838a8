use super::*;
use crate::wire::plain::Plain;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Line(f64, f64),
    Named { name: String, corners: Vec<(i32, Option<u8>)> },
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Point),
        (any::<f64>(), any::<f64>()).prop_map(|(a, b)| Shape::Line(a, b)),
        (".*", prop::collection::vec(any::<(i32, Option<u8>)>(), 0..20))
            .prop_map(|(name, corners)| Shape::Named { name, corners }),
    ]
}

/// Every kind of value that serde knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    unsigned: (u8, u16, u32, u64, u128, usize),
    signed: (i8, i16, i32, i64, i128, isize),
    others: (bool, char, f32, f64, ()),
    shapes: Vec<Vec<Shape>>,
    wrapped: Option<Wrapped>,
    numbers: Vec<f64>,
    map: BTreeMap<String, [i16; 3]>,
    kinds: [Kind; 3],
    bytes: Plain<u16>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(Box<(Option<bool>, String)>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Pair(u64, i64);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Nothing;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    One(u64),
    Two(Nothing, Pair),
    Three { text: DisplayedAsText },
}

#[derive(Clone, Debug, PartialEq)]
struct DisplayedAsText(i64);

impl<'de> Deserialize<'de> for DisplayedAsText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = text.trim_matches(['<', '>']).parse();
        number.map(Self).map_err(serde::de::Error::custom)
    }
}

impl Serialize for DisplayedAsText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("<{}>", self.0))
    }
}

/// A buffer whose room moves each time that it grows.
#[derive(Debug)]
struct Moving {
    room: Vec<u8>,
    shortest: usize,
    most: usize,
}

impl OutputBuffer for Moving {
    fn shortest(&self) -> usize {
        self.shortest
    }

    fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
        if bytes > self.most {
            return None;
        }
        if bytes > self.room.len() {
            let mut room = vec![0; bytes];
            room[..used].copy_from_slice(&self.room[..used]);
            self.room = room;
        }
        Some(&mut self.room)
    }
}

fn buffer() -> impl Strategy<Value = Moving> {
    let some = (0_usize..400, 0_usize..800);
    some.prop_map(|(shortest, most)| Moving { room: Vec::new(), shortest, most })
}

fn everything() -> impl Strategy<Value = Everything> {
    let map = prop::collection::btree_map(".*", any::<[i16; 3]>(), 0..3);
    let shapes = prop::collection::vec(prop::collection::vec(shape(), 0..3), 0..3);
    let numbers = prop::collection::vec(any::<f64>(), 0..20);
    let single =
        (any::<(u8, u16, u32, u64, u128, usize)>(), any::<(i8, i16, i32, i64, i128, isize)>());
    let others = any::<(bool, char, f32, f64, ())>();
    let wrapped = any::<Option<(Option<bool>, String)>>();
    (single, others, shapes, wrapped, numbers, map).prop_map(
        |((unsigned, signed), others, shapes, wrapped, numbers, map)| Everything {
            kinds: [
                Kind::One(unsigned.3),
                Kind::Two(Nothing, Pair(unsigned.3 >> 20, signed.3 >> 40)),
                Kind::Three { text: DisplayedAsText(signed.3) },
            ],
            bytes: Plain(vec![unsigned.1; map.len()]),
            wrapped: wrapped.map(|wrapped| Wrapped(Box::new(wrapped))),
            unsigned,
            signed,
            others,
            shapes,
            numbers,
            map,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(value in shape()) {
        let bytes = encode(&value).unwrap();
        prop_assert_eq!(decode::<Shape>(&bytes).unwrap(), value);
    }

    #[test]
    fn the_bytes_are_those_of_postcard(value in everything(), change: u8, buffer in buffer()) {
        let bytes = postcard::to_stdvec(&value).unwrap();
        prop_assert_eq!(encode(&value).unwrap(), &*bytes);

        let back: Everything = decode(&bytes).unwrap();
        prop_assert_eq!(encode(&back).unwrap(), &*bytes);
        let changed = [&bytes[..bytes.len() / 2], &[change], &bytes[bytes.len() / 2 + 1..]].concat();
        let ours = decode_first::<Everything>(&changed).ok();
        let theirs = postcard::take_from_bytes::<Everything>(&changed).ok();
        prop_assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));

        let mut behind = vec![7; 3];
        encode_into(&value, &mut behind).unwrap();
        prop_assert_eq!(&behind[3..], &*bytes);

        let mut buffer = buffer;
        let mut output = Output::new(vec![7; 3], Some(&mut buffer));
        encode_to(&value, &mut output).unwrap();
        encode_to(&1_u8, &mut output).unwrap();
        prop_assert_eq!(output.len(), behind.len() + 1);
        behind.push(1);
        match output.finish() {
            Encoded::Heap(heap) => prop_assert_eq!(heap, behind),
            Encoded::Buffered(length) => prop_assert_eq!(&buffer.room[..length], behind),
        }
    }

    #[test]
    fn vectors_of_numbers_are_encoded_and_decoded_as_any_others(
        items in prop::collection::vec(any::<u64>(), 0..200),
        cut in 0_usize..2000,
    ) {
        fn check<N>(items: Vec<N>, cut: usize)
        where
            N: bytemuck::Pod + Serialize + DeserializeOwned,
        {
            let bytes = postcard::to_stdvec(&items).unwrap();
            assert_eq!(encode(&items).unwrap(), bytes);
            assert_eq!(encode(items.as_slice()).unwrap(), bytes);
            assert_eq!(encode(&[items.clone(), items.clone()]).unwrap()[..bytes.len()], bytes);
            let back: Vec<N> = decode(&bytes).unwrap();
            assert_eq!(bytemuck::cast_slice::<_, u8>(&back), bytemuck::cast_slice::<_, u8>(&items));
            assert!(decode::<Vec<N>>(&[&*bytes, &[0]].concat()).is_err());
            assert!(decode::<Vec<N>>(&bytes[..cut.min(bytes.len() - 1)]).is_err());
        }
        check::<f64>(items.iter().copied().map(f64::from_bits).collect(), cut);
        check::<f32>(items.iter().map(|x| f32::from_bits(*x as u32)).collect(), cut);
        check::<u8>(items.iter().map(|x| *x as u8).collect(), cut);
        check::<i8>(items.iter().map(|x| *x as i8).collect(), cut);
        check::<u64>(items, cut);
    }

    #[test]
    fn values_one_after_the_other_are_decoded_in_turn(value in shape(), number in any::<i64>()) {
        let mut bytes = encode(&value).unwrap();
        encode_into(&number, &mut bytes).unwrap();
        bytes.push(9);
        let (first, rest) = decode_first::<Shape>(&bytes).unwrap();
        let (second, rest) = decode_first::<i64>(rest).unwrap();
        prop_assert_eq!((first, second, rest), (value, number, &[9][..]));
        prop_assert!(decode_first::<Shape>(&[]).is_err());
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode::<Shape>(&bytes);
        let _ = decode::<Vec<Shape>>(&bytes);
        let _ = decode::<crate::wire::plain::Plain<f64>>(&bytes);
        let _ = decode::<crate::wire::message::FromWorker>(&bytes);
    }

    #[test]
    fn bytes_left_over_are_an_error(value in shape(), extra in 1_usize..5) {
        let mut bytes = encode(&value).unwrap();
        bytes.extend(std::iter::repeat_n(0, extra));
        prop_assert!(decode::<Shape>(&bytes).is_err());
    }
}

#[test]
fn a_visitor_of_ones_own_is_asked_for_each_number() {
    #[derive(Deserialize)]
    struct Halved(#[serde(deserialize_with = "halved")] Vec<f64>);
    fn halved<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        struct Halve;
        impl<'de> serde::de::Visitor<'de> for Halve {
            type Value = Vec<f64>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("numbers")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Vec<f64>, A::Error> {
                let mut all = Vec::new();
                while let Some(number) = seq.next_element::<f64>()? {
                    all.push(number / 2.0);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(Halve)
    }
    let bytes = encode(&vec![2.0, 4.0]).unwrap();
    assert_eq!(decode::<Halved>(&bytes).unwrap().0, [1.0, 2.0]);
    assert_eq!(decode::<Vec<f64>>(&bytes).unwrap(), [2.0, 4.0]);
    assert!(
        decode::<Vec<f64>>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).is_err()
    );
}

#[test]
fn what_a_shelf_has_lost_is_not_passed_over() {
    struct Forgetful(Option<Vec<u8>>);
    impl OutputBuffer for Forgetful {
        fn shortest(&self) -> usize {
            0
        }

        fn room(&mut self, used: usize, bytes: usize) -> Option<&mut [u8]> {
            if used > 0 {
                return None;
            }
            Some(self.0.insert(vec![0; bytes]))
        }
    }
    let mut buffer = Forgetful(None);
    let mut output = Output::new(Vec::new(), Some(&mut buffer));
    encode_to(&[1_u8; 30], &mut output).unwrap();
    assert!(encode_to(&1_u8, &mut output).is_err());
}

#[test]
fn a_value_that_ignores_that_it_is_unsuited_is_described_from_its_beginning() {
    struct Ignores;
    impl Serialize for Ignores {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeTuple;
            let erased: &dyn erased_serde::Serialize = &Pair(7, -7);
            let mut tuple = serializer.serialize_tuple(3)?;
            tuple.serialize_element(&5_u8)?;
            let _ = tuple.serialize_element(erased);
            tuple.serialize_element(&1_u8)?;
            tuple.end()
        }
    }
    let mut output = Output::from(vec![9]);
    let form = encode_value(&Ignores, &mut output).unwrap();
    assert_eq!(form, Form::Described);
    let bytes = output.into_heap();
    assert_eq!(bytes[0], 9);
    let value: (u8, Pair, u8) = decode_form(&bytes[1..], form).unwrap();
    assert_eq!(value, (5, Pair(7, -7), 1));
}

#[test]
fn what_goes_on_after_an_error_is_not_half_encoded() {
    struct Stubborn;
    impl Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeTuple;
            let mut tuple = serializer.serialize_tuple(2)?;
            let _ = tuple.serialize_element(&[Refuses][..]);
            tuple.serialize_element(&1_u8)?;
            tuple.end()
        }
    }
    struct Refuses;
    impl Serialize for Refuses {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    let error = encode(&Stubborn).unwrap_err().to_string();
    assert!(error.contains("went on after an error"), "{error}");

    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let _ = serializer.serialize_seq(Some(0))?;
            Err(serde::ser::Error::custom("it has no end"))
        }
    }
    struct Lenient;
    impl Serialize for Lenient {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeTuple;
            let mut tuple = serializer.serialize_tuple(1)?;
            let _ = tuple.serialize_element(&Endless);
            tuple.end()
        }
    }
    assert!(encode(&Lenient).is_err());
}
