//! What stops a value on its way through the codec.

use std::fmt;

use super::described::DEEPEST;

/// An error of the codec's serializers and deserializers. It keeps the words of a `Serialize` or
/// `Deserialize` that refuses, for the error that the user sees.
#[derive(Debug)]
pub struct Error(Box<Cause>);

pub(super) type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The value's `Serialize` or `Deserialize` says so.
    Custom(String),
    /// The compact form cannot hold the value, or is not known to bring it back.
    Unsuited,
    /// A `Deserialize` asks for something else than the `Serialize` has written.
    Unlike,
    /// There is no room for what is written.
    Full,
    /// The bytes end too early.
    End,
    /// A byte that is to be 0 or 1 is neither.
    Flag,
    /// A number has more bytes than its type.
    Long,
    /// Text is not UTF-8, or a character is none.
    Text,
    /// A kind of value is expected, and there is no such kind.
    Kind,
    /// `Deserialize` wants to be told what comes next, which only the described form can.
    Any,
    /// The same, of values that lie too deep in each other.
    Deep,
    /// Values lie so deep in each other that there is not enough stack for it.
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
