//! Counts the instructions that it takes to dispatch a task:
//! `cargo bench -p benches --bench instructions`.
//!
//! The thread of a process that handles the tasks is single-stepped (ptrace(2)), and the
//! instructions that it executes from one call of a marker function to the next are counted. The
//! figure is the median of many counts, so neither the speed of the machine nor other programs
//! matter. The other threads of the process stand still meanwhile, so that none of them does part
//! of the work. The process at the other end runs freely.
//!
//! Turns of waiting loops are not counted, nor is the kernel's clock, which is no code of the farm.
//! The figures are compared with those in `instructions.txt`; `-- --update` writes them there.
//! `docs/benchmarks.md` says more.
#![allow(clippy::print_stdout, reason = "it is a program")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::Range;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use farm_core::prelude::*;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{getpid, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// The file with the expected figures.
const EXPECTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

/// The name of that file in messages.
const FILE: &str = "benches/instructions.txt";

/// By how many per cent a figure may differ from the expected one.
const TOLERANCE: f64 = 5.0;

const UPDATE: &str = "`cargo bench -p benches --bench instructions -- --update`";

/// The argument by which this program, started again, does the work of a row.
const WORK: &str = "--work";

/// The name of a figure, and the work during which it is counted.
struct Row(&'static str, fn());

const ROWS: [Row; 6] = [
    Row("mono/apply", mono_apply),
    Row("process/apply/master", apply_in_master),
    Row("process/apply/worker", apply_in_worker),
    Row("process/map/master/put", put_in_master),
    Row("process/map/master/take", take_in_master),
    Row("process/map/worker", map_in_worker),
];

/// The number of counts of which a figure is the median.
const TIMES: usize = 31;

/// The number of items of a map, and the item with which counting begins: in the middle of a long
/// batch.
const ITEMS: u64 = 20_000;
const BEGIN: u64 = 10_000;

/// The empty task function, which is the marker in a worker.
#[inline(never)]
fn next(x: u64) -> u64 {
    black_box(x).wrapping_add(1)
}

/// The marker in the master.
#[inline(never)]
fn mark(x: u64) {
    black_box(x);
}

/// The address of [`next`] in the worker that runs this task.
fn place_of_next((): ()) -> usize {
    next as fn(u64) -> u64 as usize
}

/// Stops this process, which tells the process that counts to begin.
fn begin((): ()) {
    kill_process(getpid(), rustix::process::Signal::STOP).expect("a process may stop itself");
}

fn begin_with(x: u64) {
    if x == BEGIN {
        begin(());
    }
}

fn next_or_begin(x: u64) -> u64 {
    begin_with(x);
    next(x)
}

/// An argument that calls the marker when it is encoded.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
struct Put(u64);

impl From<u64> for Put {
    fn from(x: u64) -> Self {
        Self(x)
    }
}

impl From<Put> for u64 {
    fn from(Put(x): Put) -> Self {
        begin_with(x);
        mark(x);
        x
    }
}

fn next_put(x: Put) -> u64 {
    next(x.0)
}

/// A result that calls the marker when it is decoded.
#[derive(Serialize, Deserialize)]
#[serde(from = "u64")]
struct Taken(u64);

impl From<u64> for Taken {
    fn from(x: u64) -> Self {
        begin_with(x);
        mark(x);
        Self(x)
    }
}

fn next_taken(x: u64) -> Taken {
    Taken(next(x))
}

/// Prints which process is to be counted and the address of its marker, and waits for the answer of
/// the process that counts.
fn announce(pid: u32, mark: usize) {
    // Waits until all threads are at rest, since they are going to be stopped.
    std::thread::sleep(Duration::from_millis(50));
    println!("{pid} {mark}");
    let answer = io::stdin().read_line(&mut String::new()).expect("an answer");
    if answer == 0 {
        // The process that counts has ended, and has printed the reason.
        std::process::exit(1);
    }
}

fn announce_master() {
    announce(std::process::id(), mark as fn(u64) as usize);
}

fn announce_worker(pool: &farm_process::Pool) {
    let mark = pool.apply(place_of_next, ()).expect("the task does not fail");
    announce(pool.processes()[0].pid, mark);
}

/// A pool of one worker process that has already done some tasks.
fn process() -> farm_process::Pool {
    let pool = farm_process::Pool::builder().workers(1).build().expect("a pool");
    (0..100).for_each(|_| apply(&pool));
    pool
}

fn apply(pool: &impl Farm) {
    assert_eq!(pool.apply(next, 41).expect("the task does not fail"), 42);
}

/// Makes round trips while this process is counted.
fn round_trips(pool: &impl Farm) {
    announce_master();
    begin(());
    for x in 0..=TIMES as u64 {
        mark(x);
        apply(pool);
    }
}

fn mono_apply() {
    let pool = farm_mono::Pool::builder().build().expect("a pool");
    (0..100).for_each(|_| apply(&pool));
    round_trips(&pool);
}

fn apply_in_master() {
    let pool = process();
    round_trips(&pool);
    pool.shutdown();
}

fn apply_in_worker() {
    let pool = process();
    announce_worker(&pool);
    pool.apply(begin, ()).expect("the task does not fail");
    for _ in 0..=TIMES {
        // Long enough for the worker to go to sleep, although single-stepping makes it slow.
        std::thread::sleep(Duration::from_millis(100));
        apply(&pool);
    }
    pool.shutdown();
}

fn put_in_master() {
    let pool = process();
    announce_master();
    let results = pool.map(next_put, (0..ITEMS).map(Put)).expect("no task fails");
    assert!((1..=ITEMS).eq(results));
    pool.shutdown();
}

fn take_in_master() {
    let pool = process();
    announce_master();
    let results = pool.map(next_taken, 0..ITEMS).expect("no task fails");
    assert!((1..=ITEMS).eq(results.into_iter().map(|taken| taken.0)));
    pool.shutdown();
}

fn map_in_worker() {
    let pool = process();
    announce_worker(&pool);
    let results = pool.map(next_or_begin, 0..ITEMS).expect("no task fails");
    assert!((1..=ITEMS).eq(results));
    pool.shutdown();
}

/// Counts the instructions between two calls of the marker in the work of a row.
fn count(Row(name, _): &Row) -> Result<u64> {
    let mut work = Command::new(std::env::current_exe()?)
        .args([WORK, name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut to = work.stdin.take().context("it has no input")?;
    let mut line = String::new();
    BufReader::new(work.stdout.take().context("it has no output")?).read_line(&mut line)?;
    let (pid, mark) = line.trim().split_once(' ').context("it does not say whom to count")?;
    let led = Led::seize(pid.parse()?).context(
        "a process cannot be led here: ptrace(2) has to be allowed, as by --cap-add SYS_PTRACE",
    )?;
    writeln!(to)?;
    let cores = sched_getaffinity(None)?;
    led.share_a_core(&cores)?;
    let counts = led.count(mark.parse()?);
    sched_setaffinity(None, &cores)?;
    let mut counts = counts?;
    ensure!(work.wait()?.success(), "the work fails");
    counts.sort_unstable();
    Ok(counts[TIMES / 2])
}

/// A process whose first thread is single-stepped while the others stand still.
struct Led {
    thread: Pid,
    others: Vec<Pid>,
    /// The addresses of the kernel's clock (the vDSO).
    clock: Range<u64>,
    /// Whether there is a [`PAUSE`] at an address, for the addresses that were looked at.
    pauses: HashMap<u64, bool>,
}

impl Led {
    fn seize(pid: i32) -> Result<Self> {
        let thread = Pid::from_raw(pid);
        let mut others = Vec::new();
        for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let other =
                entry?.file_name().to_str().context("a number")?.parse().map(Pid::from_raw)?;
            ptrace::seize(other, ptrace::Options::PTRACE_O_EXITKILL)?;
            if other != thread {
                ptrace::interrupt(other)?;
                stop(other)?;
                others.push(other);
            }
        }
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap_or("0-0 ");
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let (from, to) = range.context("a range of addresses")?;
        let clock = u64::from_str_radix(from, 16)?..u64::from_str_radix(to, 16)?;
        Ok(Self { thread, others, clock, pauses: HashMap::new() })
    }

    /// Puts the thread on one core together with the thread that steps it, since switching between
    /// cores takes long.
    fn share_a_core(&self, cores: &CpuSet) -> Result<()> {
        let core =
            (0..CpuSet::MAX_CPU).rev().find(|core| cores.is_set(*core)).context("no core")?;
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(rustix::process::Pid::from_raw(self.thread.as_raw()), &one)?;
        Ok(sched_setaffinity(None, &one)?)
    }

    /// Counts the instructions from marker to marker until there are enough counts; then detaches.
    fn count(mut self, mark: u64) -> Result<Vec<u64>> {
        loop {
            match stop(self.thread)? {
                Some(Signal::SIGSTOP) => break,
                other => ptrace::cont(self.thread, other)?,
            }
        }
        let mut counts = Vec::new();
        let (mut is_counted, mut count, mut since_pause) = (false, 0, LONGEST_TURN + 1);
        let mut signal = None;
        while counts.len() < TIMES {
            ptrace::step(self.thread, signal)?;
            signal = stop(self.thread)?;
            if signal.take_if(|signal| *signal == Signal::SIGTRAP).is_none() {
                continue;
            }
            let at = place(&ptrace::getregs(self.thread)?);
            if self.clock.contains(&at) {
                continue;
            }
            count += 1;
            since_pause += 1;
            if self.is_pause(at)? {
                // Another turn of a waiting loop, unless more was executed since the last pause.
                if since_pause <= LONGEST_TURN {
                    count -= since_pause;
                }
                since_pause = 0;
            }
            if at == mark {
                if is_counted {
                    counts.push(count);
                }
                (is_counted, count, since_pause) = (true, 0, LONGEST_TURN + 1);
            }
        }
        for thread in self.others.into_iter().chain([self.thread]) {
            ptrace::detach(thread, None)?;
        }
        Ok(counts)
    }

    fn is_pause(&mut self, at: u64) -> Result<bool> {
        if let Some(known) = self.pauses.get(&at) {
            return Ok(*known);
        }
        let code = ptrace::read(self.thread, at as ptrace::AddressType)?;
        let is_pause = code.to_le_bytes().starts_with(PAUSE);
        self.pauses.insert(at, is_pause);
        Ok(is_pause)
    }
}

/// The address of the next instruction.
#[cfg(target_arch = "x86_64")]
fn place(registers: &nix::libc::user_regs_struct) -> u64 {
    registers.rip
}

/// The address of the next instruction.
#[cfg(target_arch = "aarch64")]
fn place(registers: &nix::libc::user_regs_struct) -> u64 {
    registers.pc
}

/// The instruction that each turn of a waiting loop contains: `pause`, or `isb`.
const PAUSE: &[u8] =
    if cfg!(target_arch = "x86_64") { &[0xf3, 0x90] } else { &[0xdf, 0x3f, 0x03, 0xd5] };

/// The most instructions in such a turn.
const LONGEST_TURN: u64 = 50;

/// Waits until a thread stops, and returns the signal that has stopped it, if one has.
fn stop(thread: Pid) -> Result<Option<Signal>> {
    match waitpid(thread, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, signal) => Ok(Some(signal)),
        WaitStatus::PtraceEvent(..) => Ok(None),
        ended => bail!("it has ended: {ended:?}"),
    }
}

/// What the figures depend on besides the code: the compiler, and the kind of processor.
fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc")?;
    let version = String::from_utf8(output.stdout)?;
    Ok(format!("{}, {}", version.trim(), std::env::consts::ARCH))
}

fn update() -> Result<ExitCode> {
    let mut text = format!("{}\n", compiler()?);
    for row in &ROWS {
        writeln!(text, "{} {}", row.0, count(row).context(row.0)?)?;
    }
    std::fs::write(EXPECTED, &text).context(FILE)?;
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Counts, and compares the figures with the expected ones.
fn check() -> Result<ExitCode> {
    let text = std::fs::read_to_string(EXPECTED).context(FILE)?;
    let (made_by, figures) = text.split_once('\n').unwrap_or_default();
    let compiler = compiler()?;
    ensure!(
        made_by == compiler,
        "{FILE} is of {made_by}, and this is {compiler}: run {UPDATE}, and commit it"
    );
    let figures: HashMap<_, _> = figures.lines().filter_map(|line| line.split_once(' ')).collect();
    let mut code = ExitCode::SUCCESS;
    for row in &ROWS {
        let Row(name, _) = row;
        let expected = figures
            .get(name)
            .with_context(|| format!("{FILE} lacks {name}: run {UPDATE}, and commit it"))?;
        let expected: u64 = expected.parse().context(FILE)?;
        let counted = count(row).context(*name)?;
        let change = 100.0 * (counted as f64 / expected as f64 - 1.0);
        println!("{name:24}{counted:6} instructions, {expected:6} expected {change:+7.1} %");
        if change > TOLERANCE {
            eprintln!(
                "{name} takes {counted} instructions, {change:.1} % more than the {expected} expected: find out why; if \
                 it is worth it, run {UPDATE}, and commit {FILE}"
            );
            code = ExitCode::FAILURE;
        } else if change < -TOLERANCE {
            println!(
                "{name} takes {:.1} % fewer instructions than expected: run {UPDATE}, and commit \
                 {FILE}",
                -change
            );
        }
    }
    Ok(code)
}

/// Ends this program if it takes so long that something must be waiting for ever.
fn watch() {
    const LONG: Duration = Duration::from_secs(600);
    std::thread::spawn(|| {
        std::thread::sleep(LONG);
        eprintln!("nothing more happens");
        std::process::exit(1);
    });
}

fn run(arguments: &[String]) -> Result<ExitCode> {
    if let Some(at) = arguments.iter().position(|argument| argument == WORK) {
        let name = arguments.get(at + 1);
        let row = ROWS.iter().find(|row| name.is_some_and(|name| name == row.0));
        row.context("there is no such row")?.1();
        return Ok(ExitCode::SUCCESS);
    }
    watch();
    if arguments.iter().any(|argument| argument == "--update") { update() } else { check() }
}

fn main() -> ExitCode {
    farm_process::init();
    run(&std::env::args().collect::<Vec<_>>()).unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::FAILURE
    })
}
