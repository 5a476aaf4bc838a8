//! Values as text, for comparisons: all NaNs are the same, and all bits of other numbers count.

use std::fmt::Debug;

use farm_core::Data;

/// Bytes of stack that are enough for the deepest values that a target makes, even as JSON and
/// while they are dropped. The codec has to manage with the stack of its thread.
const STACK: usize = 256 << 20;

/// Calls `body` on a stack that is large enough for code which recurses as deep as its values.
pub(super) fn deeply<T>(body: impl FnOnce() -> T) -> T {
    stacker::grow(STACK, body)
}

pub(super) fn text_of(value: &impl Debug) -> String {
    deeply(|| format!("{value:?}"))
}

/// The text of a value, which is dropped.
pub(super) fn into_text(value: impl Debug) -> String {
    deeply(move || format!("{value:?}"))
}

/// Whether JSON brings the value back unchanged.
pub(super) fn goes_through_json<T: Data + Debug>(value: &T) -> bool {
    deeply(|| {
        let json = serde_json::to_string(value).ok();
        let back = json.and_then(|json| serde_json::from_str::<T>(&json).ok());
        back.is_some_and(|back| format!("{back:?}") == format!("{value:?}"))
    })
}
