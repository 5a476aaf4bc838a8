//! Has all workers read one large array, and return small results:
//! `cargo run --example shared_memory`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{ArrayRef, SharedArray};
use ndarray::{Array2, Ix2};

/// The sum of each column over these rows.
fn column_sums(rows: ArrayRef<f64, Ix2>) -> Vec<f64> {
    rows.view().columns().into_iter().map(|column| column.sum()).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    farm_process::init();
    let pool = Pool::new()?;

    let samples = Array2::from_shape_fn((1_000_000, 3), |(i, j)| ((i * (j + 1)) as f64).cos());
    let samples = SharedArray::from_array(&samples)?.freeze(); // read-only from here on

    // Each task is sent a handle of a few bytes, whatever the size of its rows.
    let parts = pool.distribute(1_000_000).into_iter().map(|rows| samples.clone().slice(rows));
    let sums = pool.map(column_sums, parts)?;

    let means: Vec<f64> =
        (0..3).map(|j| sums.iter().map(|part| part[j]).sum::<f64>() / 1e6).collect();
    println!("means of the columns: {means:.6?}");
    Ok(())
}
