//! Submits tasks one by one: `cargo run --example explicit_tasks`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use farm_core::prelude::*;
use farm_process::Pool;

/// Steps until the Collatz sequence of `n` reaches 1.
fn collatz(n: u64) -> u32 {
    let mut steps = 0;
    let mut x = n;
    while x != 1 {
        x = if x.is_multiple_of(2) { x / 2 } else { 3 * x + 1 };
        steps += 1;
    }
    steps
}

fn main() -> Result<(), FarmError> {
    farm_process::init();
    let pool = Pool::new()?;

    // `submit` returns at once; the tasks run while the program continues.
    let handles: Vec<_> = [27, 97, 871, 6171].map(|n| (n, pool.submit(collatz, n))).into();

    for (n, handle) in handles {
        println!("{n} takes {} steps", handle.get()?);
    }

    // A failure of a task is reported by its handle, and affects nothing else.
    fn careless(n: u64) -> u64 {
        100 / n
    }
    match pool.apply(careless, 0) {
        Ok(quotient) => println!("{quotient}"),
        Err(error) => println!("{error}"),
    }
    pool.shutdown();
    Ok(())
}
