//! Values as text, to be compared: numbers that are none are the same, and all bits of others count.

use std::fmt::Debug;

use farm_core::Data;

/// Enough for the deepest values that a target makes, even as JSON and while they are dropped. The codec has to do with
/// the stack of its thread.
const STACK: usize = 256 << 20;

/// Batcher a body of which nothing is known but that it goes as deep as its values.
pub(super) fn deeply<T>(body: impl FnOnce() -> T) -> T {
    stacker::grow(STACK, body)
}

pub(super) fn text_of(value: &impl Debug) -> String {
    deeply(|| format!("{value:?}"))
}

/// The text, and the value is dropped.
pub(super) fn into_text(value: impl Debug) -> String {
    deeply(move || format!("{value:?}"))
}

/// Whether JSON brings the value back.
pub(super) fn goes_through_json<T: Data + Debug>(value: &T) -> bool {
    deeply(|| {
        let json = serde_json::to_string(value).ok();
        let back = json.and_then(|json| serde_json::from_str::<T>(&json).ok());
        back.is_some_and(|back| format!("{back:?}") == format!("{value:?}"))
    })
}
