//! What a program uses: a farm, the handles of its tasks, options, outcomes and figures.

pub(crate) mod distribute;
pub(crate) mod error;
pub(crate) mod farm;
pub(crate) mod handle;
pub(crate) mod imap;
pub(crate) mod options;
pub(crate) mod stats;
