//! The output of workers while the program holds its stderr, or while nothing reads that.

farm_process::init_before_main!();

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;

use common::{TRANSPORTS, part, play, pool_by, square};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;

/// The length of a line that [`print_lines`] prints.
const LINE: usize = 64;

/// A task that prints so many lines.
fn print_lines(n: usize) {
    // Many lines are printed at a time, since each write wakes a thread.
    let lines: Vec<_> = (0..n).map(|i| format!("{i:>width$}\n", width = LINE - 1)).collect();
    for lines in lines.chunks(64) {
        std::io::stderr().write_all(lines.concat().as_bytes()).unwrap();
    }
}

/// A task that prints so many lines and a last one, and then dies.
fn print_and_die(n: usize) {
    print_lines(n);
    eprintln!("these are the last words");
    std::process::abort();
}

/// The number before `word`.
fn number_before(line: &str, word: &str) -> usize {
    let before = line.split(word).next().unwrap().trim_end();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn tasks_that_print_end_while_the_program_holds_stderr_and_what_is_dropped_is_counted() {
    let name = "tasks_that_print_end_while_the_program_holds_stderr_and_what_is_dropped_is_counted";
    const CALLS: usize = 6;
    const LINES: usize = 1 << 14;
    if part().is_some() {
        for transport in TRANSPORTS {
            let pool = pool_by(transport, 2);
            let mut held = std::io::stderr().lock();
            pool.map(print_lines, [LINES; CALLS]).unwrap();
            // The output that a worker has left is read when it dies.
            let error = pool.apply(print_and_die, LINES).unwrap_err().to_string();
            writeln!(held, "reported: {error}").unwrap();
            drop(held);
            drop(pool);
        }
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        let is_told = |line: &&str| line.contains("bytes of what workers have printed");
        let told = text.lines().filter(is_told).map(|line| number_before(line, "bytes"));
        let dropped: usize = told.sum();
        let printed = text.lines().filter(|line| line.len() == LINE - 1).count() * LINE;
        let words = text.lines().filter(|line| *line == "these are the last words");
        let words = words.map(|line| line.len() + 1).sum::<usize>();
        assert!(dropped > 0, "there is more than is kept");
        // The runtime may print something before it aborts; that is not counted here.
        assert_eq!(printed + words + dropped, 2 * ((CALLS + 1) * LINES * LINE + 25));
        let reported: Vec<_> = text.lines().filter(|line| line.starts_with("reported")).collect();
        assert_eq!(reported.len(), 2);
        assert!(
            reported.iter().all(|line| line.ends_with("its last output: these are the last words"))
        );
    });
}

#[test]
fn nothing_that_workers_print_is_lost_where_stderr_is_read_slowly() {
    let name = "nothing_that_workers_print_is_lost_where_stderr_is_read_slowly";
    const LINES: usize = 1 << 16;
    if part().is_some() {
        for transport in TRANSPORTS {
            pool_by(transport, 2).map(print_lines, [LINES / 4; 4]).unwrap();
        }
        return;
    }
    guard(name, || {
        let mut master = play(name, "master").spawn().unwrap();
        let mut stderr = master.stderr.take().unwrap();
        let (mut bytes, mut some) = (0, [0; 1000]);
        // Small reads are slow enough that the output would overflow what the queue may keep.
        loop {
            match stderr.read(&mut some).unwrap() {
                0 => break,
                n => bytes += n,
            }
        }
        assert!(master.wait().unwrap().success());
        assert_eq!(bytes, 2 * LINES * LINE);
    });
}

#[test]
fn a_stderr_that_nobody_reads_keeps_neither_tasks_nor_deaths_nor_the_end_of_a_pool_waiting() {
    let name =
        "a_stderr_that_nobody_reads_keeps_neither_tasks_nor_deaths_nor_the_end_of_a_pool_waiting";
    if part().is_some() {
        for transport in TRANSPORTS {
            let pool = pool_by(transport, 2);
            for _ in 0..3 {
                let error = pool.apply(print_and_die, 1 << 15).unwrap_err().to_string();
                assert!(error.ends_with("its last output: these are the last words"), "{error}");
                pool.map(print_lines, [1 << 14; 4]).unwrap();
                assert_eq!(pool.apply(square, 3).unwrap(), 9);
            }
            drop(pool);
            #[expect(clippy::print_stdout, reason = "it is how the test hears of it")]
            {
                println!("the pool has ended");
            }
        }
        return;
    }
    guard(name, || {
        let mut master = play(name, "master").stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(master.stdout.take().unwrap()).lines();
        // The other end of the program's stderr is open and is not read.
        assert_eq!(lines.map_while(Result::ok).filter(|l| l.contains("has ended")).count(), 2);
        assert!(master.wait().unwrap().success());
    });
}
