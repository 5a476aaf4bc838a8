//! Computes square roots with `map`: `cargo run --example first_program`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use farm_core::prelude::*;
use farm_process::Pool; // or farm_mono::Pool, farm_rayon::Pool: nothing else changes

fn main() -> Result<(), FarmError> {
    farm_process::init(); // a worker process goes no further than this line

    let pool = Pool::new()?; // one worker per core that this process may use
    let roots = pool.map(f64::sqrt, (0..10).map(f64::from))?;
    println!("{roots:.3?}");
    Ok(())
}
