//! This library is empty: the benches of the farm are in the files beside `Cargo.toml`.
