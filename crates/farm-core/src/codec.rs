//! Values to bytes and back: postcard, which is small and fast and never reads out of bounds.
//!
//! Arrays of plain numbers take the short way of [`crate::plain`] inside the same format.

use std::cell::RefCell;
use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// Why a value could not be encoded or decoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The value's `Serialize` refused.
    #[error("{0}")]
    Encode(String),
    /// The bytes are not those of such a value, or its `Deserialize` refused.
    #[error("{0}")]
    Decode(String),
}

/// Encodes a value.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value refuses.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    encode_into(value, &mut bytes).map(|()| bytes)
}

/// Encodes a value behind what `bytes` holds. After an error, `bytes` is empty.
///
/// # Errors
///
/// [`CodecError::Encode`] if the value refuses.
pub fn encode_into<T: Serialize + ?Sized>(
    value: &T,
    bytes: &mut Vec<u8>,
) -> Result<(), CodecError> {
    REASON.take();
    *bytes = postcard::to_extend(value, std::mem::take(bytes))
        .map_err(|error| CodecError::Encode(explain(&error)))?;
    Ok(())
}

/// Decodes a value that must fill `bytes` to the end.
///
/// # Errors
///
/// [`CodecError::Decode`] if the bytes are not such a value, or hold more than one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    REASON.take();
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(CodecError::Decode(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(CodecError::Decode(explain(&error))),
    }
}

thread_local! {
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the reason why a `Serialize` or `Deserialize` refuses, for the error that follows: postcard
/// itself forgets such texts. Returns the reason, to be passed on.
///
/// # Examples
///
/// ```
/// use farm_core::codec;
/// use serde::{Serialize, Serializer, ser::Error};
///
/// struct Local;
/// impl Serialize for Local {
///     fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
///         Err(S::Error::custom(codec::because("it belongs to this process")))
///     }
/// }
/// let error = codec::encode(&Local).unwrap_err();
/// assert_eq!(error.to_string(), "it belongs to this process");
/// ```
pub fn because<R: Display>(reason: R) -> R {
    REASON.set(Some(reason.to_string()));
    reason
}

fn explain(error: &postcard::Error) -> String {
    REASON.take().unwrap_or_else(|| match error {
        postcard::Error::SerdeSerCustom => "its `Serialize` returned an error".to_owned(),
        postcard::Error::SerdeDeCustom => "its `Deserialize` returned an error".to_owned(),
        postcard::Error::SerializeSeqLengthUnknown => {
            "it holds a sequence whose length its `Serialize` does not know".to_owned()
        }
        postcard::Error::WontImplement => {
            "its `Deserialize` asks the format to describe itself, which postcard does not \
             (`#[serde(untagged)]`, `#[serde(flatten)]` and `serde_json::Value` do so)"
                .to_owned()
        }
        postcard::Error::DeserializeUnexpectedEnd => "the bytes end too early".to_owned(),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

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

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in shape()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(decode::<Shape>(&bytes).unwrap(), value);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Shape>(&bytes);
            let _ = decode::<Vec<Shape>>(&bytes);
            let _ = decode::<crate::Plain<f64>>(&bytes);
            let _ = decode::<crate::FromWorker>(&bytes);
        }

        #[test]
        fn bytes_left_over_are_an_error(value in shape(), extra in 1_usize..5) {
            let mut bytes = encode(&value).unwrap();
            bytes.extend(std::iter::repeat_n(0, extra));
            prop_assert!(decode::<Shape>(&bytes).is_err());
        }
    }
}
