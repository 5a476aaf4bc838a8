//! Python looks into an array while tasks write to it: `cargo run --example look_in`.
//!
//! The argument is the path of a Python that has numpy; without one, it is `python3`.
#![allow(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{Band, SharedArray};
use ndarray::Ix2;

/// Adds one to each number, slowly, so that there is something to see.
fn add_one(mut band: Band<f64, Ix2>) -> Band<f64, Ix2> {
    for mut row in band.view_mut().rows_mut() {
        row += 1.0;
        sleep(Duration::from_millis(20));
    }
    band
}

fn main() -> Result<(), Box<dyn Error>> {
    farm_process::init();
    let python = std::env::args_os().nth(1).unwrap_or("python3".into());
    let numpy = Command::new(&python).args(["-c", "import numpy"]).stderr(Stdio::null()).status();
    if !numpy.is_ok_and(|status| status.success()) {
        let python = python.display();
        eprintln!("{python} cannot import numpy: install it, or name a Python that has it");
        std::process::exit(1);
    }

    let pool = Pool::builder().workers(2).build()?;
    let mut plate = SharedArray::from_fn((20, 1000), |(i, j)| (i + j) as f64)?;
    let description = plate.describe().to_string();
    println!("{description}"); // Python that opens the array

    let mut reader = Command::new(&python)
        .args(["-c", include_str!("look_in.py"), &description])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut ask = reader.stdin.take().ok_or("no pipe")?;
    let mut lines = BufReader::new(reader.stdout.take().ok_or("no pipe")?).lines();
    assert_eq!(lines.next().ok_or("Python has ended")??, "(20, 1000) float64");
    let mut look = move || -> Result<[f64; 2], Box<dyn Error>> {
        writeln!(ask)?;
        let line = lines.next().ok_or("Python has ended")??;
        let (sum, mean) = line.split_once(' ').ok_or("no two numbers")?;
        Ok([sum.parse()?, mean.parse()?])
    };

    for round in 1..=2 {
        let before = plate.view().sum();
        let after = before + 20_000.0;
        let (split, bands) = plate.split(pool.distribute(20))?;
        let tasks: Vec<_> = bands.into_iter().map(|band| pool.submit(add_one, band)).collect();
        while !tasks.iter().all(TaskHandle::is_ready) {
            let [sum, mean] = look()?;
            assert!((before..=after).contains(&sum));
            println!("in round {round}: sum {sum}, mean {mean}");
            sleep(Duration::from_millis(50));
        }
        let bands = tasks.into_iter().map(TaskHandle::get).collect::<Result<_, _>>()?;
        plate = split.join(bands)?;

        // No task writes at this moment, and sums of whole numbers are exact.
        assert_eq!(look()?, [after, after / 20_000.0]);
        assert_eq!(plate.view().sum(), after);
        println!("after round {round}: sum {after}, in Python as here");
    }

    drop(look); // Python reads to the end of its input and ends; the array stays
    assert!(reader.wait()?.success());
    let (split, bands) = plate.split(pool.distribute(20))?;
    let plate = split.join(pool.map(add_one, bands)?)?;
    println!("without Python: sum {}", plate.view().sum());
    Ok(())
}
