//! Handles of shared arrays: as a worker receives them, and as the master takes them back.

mod answer;
mod argument;
mod segments;
mod wire;

pub use answer::Answer;
pub use argument::Argument;

pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    answer::names().into_iter().chain(argument::names()).chain(segments::names())
}
