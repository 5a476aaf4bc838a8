//! Workers write to their bands of one array: `cargo run --example in_place`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{Band, SharedArray};
use ndarray::{Array1, Ix1};

/// Receives a band, writes to it and returns it; its numbers stay where they are.
fn square_roots(mut band: Band<f64, Ix1>) -> Band<f64, Ix1> {
    band.view_mut().mapv_inplace(f64::sqrt);
    band
}

fn main() -> Result<(), Box<dyn Error>> {
    farm_process::init();
    let pool = Pool::new()?;

    let numbers = SharedArray::from_array(&Array1::from_iter((0..1_000_000).map(f64::from)))?;

    let rows = pool.distribute(1_000_000);
    let (split, bands) = numbers.split(rows)?; // `numbers` cannot be touched while it is split
    let bands = pool.map(square_roots, bands)?;
    let roots = split.join(bands)?;

    println!("the root of 144 is {}", roots.view()[144]);
    Ok(())
}
