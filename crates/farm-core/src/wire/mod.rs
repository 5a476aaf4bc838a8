//! What travels between a master and its workers: references to functions, values, batches,
//! messages.

pub(crate) mod batch;
pub mod codec;
pub(crate) mod function;
pub(crate) mod message;
pub mod plain;
