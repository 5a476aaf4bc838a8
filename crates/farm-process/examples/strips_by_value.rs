//! Cuts a plate into strips, has tasks compute them, and puts the results together:
//! `cargo run --example strips_by_value`.
//!
//! This copies each strip twice. `in_place` does the same without a copy.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use farm_core::Plain;
use farm_core::prelude::*;
use farm_process::Pool;

const ROWS: usize = 12;
const COLUMNS: usize = 8;

/// Turns heights into slopes along each row. The numbers travel as one block of bytes.
fn slopes(strip: Plain<f64>) -> Plain<f64> {
    let rows = strip.chunks(COLUMNS);
    Plain(rows.flat_map(|row| (0..COLUMNS).map(|i| row[(i + 1) % COLUMNS] - row[i])).collect())
}

fn main() -> Result<(), FarmError> {
    farm_process::init();
    let pool = Pool::new()?;
    let plate: Vec<f64> = (0..ROWS * COLUMNS).map(|k| (k as f64).sin()).collect();

    let strips = pool.distribute(ROWS).into_iter();
    let strips = strips.map(|rows| Plain(plate[rows.start * COLUMNS..rows.end * COLUMNS].to_vec()));
    let computed: Vec<f64> =
        pool.map(slopes, strips)?.into_iter().flat_map(|strip| strip.0).collect();

    assert_eq!(computed, slopes(Plain(plate)).0, "the same bits as in one piece");
    println!("the first row: {:.3?}", &computed[..COLUMNS]);
    Ok(())
}
