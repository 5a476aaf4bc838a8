//! Runs for a long time and checks that nothing grows: `cargo bench -p benches --bench soak`.
//!
//! Two worker processes do ten million tasks (or as many as the first argument says), every
//! hundredth with a long argument and a long result, under a limit of 256 file descriptors. Then a
//! million tasks are queued at once. The bench prints memory, descriptors and threads of master and
//! workers as the run goes on. If they have grown between the first tenth and the end of the ten
//! million tasks, the exit code is 1.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::process::ExitCode;
use std::time::Instant;

use farm_core::prelude::*;
use farm_process::Pool;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How much the resident memory of a process may grow after the first tenth, in KiB.
const SLACK: u64 = 1024;

/// How many more descriptors a process may have. Results that have not been read yet may hold some,
/// and their number varies.
const UNREAD: usize = 16;

fn double(mut values: Vec<u64>) -> Vec<u64> {
    values.iter_mut().for_each(|x| *x = x.wrapping_mul(2));
    values
}

fn item(n: u64) -> Vec<u64> {
    vec![n; if n.is_multiple_of(100) { 10_000 } else { 1 }]
}

/// The resources that a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Holding {
    kib: u64,
    descriptors: usize,
    threads: usize,
}

impl Holding {
    fn of(pid: u32) -> Self {
        let folder =
            |name: &str| std::fs::read_dir(format!("/proc/{pid}/{name}")).map(Iterator::count);
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Self {
            kib: kib.unwrap_or(0),
            descriptors: folder("fd").unwrap_or(0),
            threads: folder("task").unwrap_or(0),
        }
    }

    fn has_grown_since(&self, before: &Self) -> bool {
        self.kib > before.kib + SLACK
            || self.descriptors > before.descriptors + UNREAD
            || self.threads != before.threads
    }
}

fn all(pool: &Pool) -> Vec<Holding> {
    let workers = pool.processes().into_iter().map(|process| process.pid);
    std::iter::once(std::process::id()).chain(workers).map(Holding::of).collect()
}

fn main() -> Result<ExitCode, FarmError> {
    farm_process::init();
    let tasks = std::env::args().find_map(|text| text.parse().ok()).unwrap_or(10_000_000_u64);
    let former = getrlimit(Resource::Nofile);
    let limited = setrlimit(Resource::Nofile, Rlimit { current: Some(256), ..former });
    limited
        .map_err(|error| FarmError::System { doing: "limit descriptors", source: error.into() })?;

    let pool = Pool::builder().workers(2).build()?;
    println!("{tasks} tasks on 2 workers; resident KiB, descriptors, threads of each process");
    let begin = Instant::now();
    let mut warm = Vec::new();
    let tenth = (tasks / 10).max(1);
    for (n, result) in (0..).zip(pool.imap(double, (0..tasks).map(item))) {
        let result = result?;
        assert_eq!(result, double(item(n)), "task {n}");
        if (n + 1) % tenth == 0 {
            let now = all(&pool);
            let holds =
                now.iter().map(|h| format!("{:6} {:3} {:2}", h.kib, h.descriptors, h.threads));
            let holds: Vec<_> = holds.collect();
            println!(
                "{:3} %  {:6.1?}  {}",
                (n + 1) / tenth * 10,
                begin.elapsed(),
                holds.join("   ")
            );
            if warm.is_empty() {
                warm = now;
            }
        }
    }
    let end = all(&pool);

    let begin = Instant::now();
    let mut queued: Vec<_> = (1..=1_000_000).map(|n| pool.submit(double, vec![n])).collect();
    let waiting = Holding::of(std::process::id());
    println!("a million tasks queued in {:.1?}: {waiting:?}", begin.elapsed());
    let last = queued.pop().expect("there are a million").get()?;
    assert_eq!(last, [2_000_000]);
    println!("the last of them is done after {:.1?}", begin.elapsed());
    for (n, handle) in (1..).zip(queued) {
        assert_eq!(handle.get()?, [2 * n], "queued task {n}");
    }
    println!("{:?}", pool.stats());

    let grown = warm.len() != end.len() || end.iter().zip(&warm).any(|(e, w)| e.has_grown_since(w));
    println!("{}", if grown { "something has grown" } else { "nothing has grown" });
    Ok(if grown { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
