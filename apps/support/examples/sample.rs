//! A complete program on this crate, without physics: it counts, and writes the numbers.
//!
//! ```sh
//! cargo run -p app-support --example sample -- --steps 300 --output steps.npy --picture steps.png
//! ```
//!
//! The tests of how programs end run it too; its option `--act` makes it misbehave for them.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use app_support::arguments::parse;
use app_support::backend::Common;
use app_support::destination::check_all;
use app_support::exit::finish;
use app_support::heat_map::heat_map;
use app_support::output::{write_npy, write_png, write_whole};
use app_support::progress::Progress;
use app_support::{Failure, checksum::checksum, json, signals, values};
use clap::{Parser, ValueEnum};
use ndarray::Array2;
use serde::Serialize;

/// Counts, and writes the numbers
#[derive(Parser)]
#[command(name = "sample", version)]
struct Arguments {
    /// How far to count
    #[arg(long, default_value_t = 10, value_parser = values::count_to::<1000>)]
    steps: usize,
    /// File for the numbers (.npy)
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File for the picture (.png)
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    #[arg(long, value_enum, hide = true)]
    act: Option<Act>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Act {
    /// Stops in the middle of its output file.
    StallWhileWriting,
    /// Never finishes its cleaning.
    StallWhileCleaning,
    /// Fails because its cleaning has removed data that it needs.
    FailWhileCleaning,
    /// Panics when it cleans.
    PanicWhileCleaning,
    /// Fails.
    Fail,
}

#[derive(Serialize)]
struct Summary {
    steps: usize,
    checksum: String,
}

fn main() {
    finish(run(parse()));
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    static CLEANING: AtomicBool = AtomicBool::new(false);
    check_all(&[
        ("--output", arguments.output.as_deref()),
        ("--picture", arguments.picture.as_deref()),
    ])?;
    let act = arguments.act;
    signals::on_stop(move || {
        CLEANING.store(true, Ordering::Relaxed);
        match act {
            Some(Act::StallWhileCleaning) => stall("cleaning"),
            Some(Act::PanicWhileCleaning) => panic!("cannot clean"),
            Some(Act::FailWhileCleaning) => thread::sleep(Duration::from_millis(200)),
            _ => {}
        }
    })?;

    let side = arguments.steps;
    let progress = Progress::new("counting", side as u64, arguments.common.shows_progress());
    let mut numbers = Array2::zeros((side, side));
    for (step, mut row) in numbers.rows_mut().into_iter().enumerate() {
        row.fill(step as f64);
        progress.add(1);
        progress.note(format_args!("row {step}"));
        thread::sleep(Duration::from_millis(1));
    }
    match act {
        Some(Act::StallWhileWriting) => {
            let path = arguments.output.clone().unwrap_or_default();
            write_whole(&path, |target| {
                target.write_all(&[0; 100_000])?;
                stall("writing")
            })?;
        }
        Some(Act::Fail) => return Err(Failure::run("there is nothing\nto be done")),
        Some(Act::FailWhileCleaning) => {
            say("running");
            while !CLEANING.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            return Err(Failure::run("the memory is gone"));
        }
        Some(_) => stall("running"),
        None => {}
    }
    progress.finish();

    if let Some(path) = &arguments.output {
        write_npy(path, numbers.view())?;
    }
    if let Some(path) = &arguments.picture {
        write_png(path, &heat_map(numbers.view(), "Steps"))?;
    }
    if arguments.common.json {
        json::print(&Summary { steps: side, checksum: checksum(numbers.view()) })?;
    }
    Ok(())
}

fn say(what: &str) {
    let _ = writeln!(std::io::stdout(), "{what}");
}

fn stall(what: &str) -> ! {
    say(what);
    loop {
        thread::park();
    }
}
