//! What travels between a master and its workers: function references, values, batches and messages.

pub(crate) mod batch;
pub mod codec;
pub(crate) mod function;
pub(crate) mod message;
pub mod plain;
