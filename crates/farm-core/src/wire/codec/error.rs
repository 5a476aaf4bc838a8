//! The errors of the codec.

use std::fmt;

use super::described::DEEPEST;

/// An error of the codec's serializers and deserializers. It keeps the message of a `Serialize` or
/// `Deserialize` that refuses, for the error that the user sees.
#[derive(Debug)]
pub struct Error(Box<Cause>);

pub(super) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The value's `Serialize` or `Deserialize` refuses with this message.
    Custom(String),
    /// The compact form cannot hold the value, or is not known to bring it back.
    Unsuited,
    /// A `Deserialize` asks for something else than the `Serialize` has written.
    Unlike,
    /// There is no room for the bytes, or a sequence has not given the output back.
    Full,
    /// The bytes end too early.
    End,
    /// A byte that has to be 0 or 1 is neither.
    Flag,
    /// A number does not fit into its type.
    Long,
    /// Text is not UTF-8, or a character is not exactly one.
    Text,
    /// A byte that has to be a kind of value is not one.
    Kind,
    /// A `Deserialize` asks which value comes next, which only the described form tells, read by
    /// name or as JSON.
    Any,
    /// A `Deserialize` asks the same of a value in which others are nested deeper than [`DEEPEST`],
    /// or values are nested deeper than the bytes say.
    Deep,
    /// Values are nested so deeply that there is not enough stack for them.
    Stack,
}

impl From<Cause> for Error {
    #[cold]
    fn from(cause: Cause) -> Self {
        Self(Box::new(cause))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Cause::Custom(text) => text,
            Cause::Unsuited => "its `Serialize` leaves out fields, or does not know a length",
            Cause::Unlike => {
                "its `Deserialize` asks for something else than its `Serialize` writes"
            }
            Cause::Full => {
                "its `Serialize` went on after an error, or did not end a sequence, or there is \
                 no memory for it"
            }
            Cause::End => "the bytes end too early",
            Cause::Flag => "a byte is neither 0 nor 1",
            Cause::Long => "a number has too many bytes",
            Cause::Text => "text is not UTF-8",
            Cause::Kind => "there is no such kind of value",
            Cause::Deep => {
                return write!(
                    f,
                    "its `Deserialize` asks the format to describe itself, and values lie more \
                     than {DEEPEST} deep in each other"
                );
            }
            Cause::Stack => {
                "values lie so deep in each other that 1 GiB of stack is not enough for them"
            }
            Cause::Any => "its `Deserialize` asks the format to describe itself",
        })
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Cause::Custom(text.to_string()).into()
    }
}

impl serde::de::Error for Error {
    #[cold]
    fn custom<T: fmt::Display>(text: T) -> Self {
        Cause::Custom(text.to_string()).into()
    }
}
