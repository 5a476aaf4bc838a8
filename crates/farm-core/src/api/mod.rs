//! The API of programs: the farm, handles of tasks, options, errors and statistics.

pub(crate) mod distribute;
pub(crate) mod error;
pub(crate) mod farm;
pub(crate) mod handle;
pub(crate) mod imap;
pub(crate) mod options;
pub(crate) mod stats;
