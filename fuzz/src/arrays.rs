//! Handles of shared arrays, as a worker receives them and as the master gets them back.

mod answer;
mod argument;
mod attempts;
mod segments;
mod wire;

pub use answer::Answer;
pub use argument::Argument;
pub use attempts::Attempts;

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let received = argument::names().chain(attempts::names());
    answer::names().into_iter().chain(received).chain(segments::names())
}
