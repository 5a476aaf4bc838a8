//! A crash costs one task, and a task that hangs is stopped, which a pool of threads cannot do:
//! `cargo run --example survive_crashes`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::time::Duration;

use farm_core::prelude::*;
use farm_process::Pool;

/// A solver that somebody else wrote.
fn solve(case: u32) -> f64 {
    match case {
        3 => std::process::abort(),
        5 => loop {
            std::thread::park();
        },
        _ => f64::from(case).sqrt(),
    }
}

fn main() -> Result<(), FarmError> {
    farm_process::init();
    let pool = Pool::builder().workers(2).timeout(Duration::from_millis(500)).retries(1).build()?;
    for outcome in pool.imap(solve, 0..8) {
        match outcome {
            Ok(root) => println!("{root:.3}"),
            Err(error) => println!("{error}"),
        }
    }
    println!(
        "{} workers lost, {} attempts made again",
        pool.stats().workers_lost,
        pool.stats().retried
    );
    Ok(())
}
