//! Functions that the tests of worker processes share.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::{Builder, Pool, Transport};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

pub(crate) fn pool(workers: usize) -> Pool {
    Pool::builder().workers(workers).build().unwrap()
}

pub(crate) fn builder_by(transport: Transport, workers: usize) -> Builder {
    Pool::builder().workers(workers).transport(transport)
}

pub(crate) fn pool_by(transport: Transport, workers: usize) -> Pool {
    builder_by(transport, workers).build().unwrap()
}

/// Runs `body` with a watchdog, once for each transport.
pub(crate) fn by_each(name: &'static str, body: impl Fn(Transport)) {
    for transport in TRANSPORTS {
        eprintln!("{name} by {transport:?}");
        guard(name, || body(transport));
    }
}

/// All transports.
pub(crate) const TRANSPORTS: [Transport; 2] = [Transport::Lanes, Transport::Channel];

/// A task that returns the id of the process in which it runs.
pub(crate) fn pid(_: ()) -> i32 {
    std::process::id().cast_signed()
}

/// A task that runs until its process is killed.
pub(crate) fn stay(_: ()) {
    loop {
        std::thread::park();
    }
}

/// A task that returns a square.
pub(crate) fn square(x: u64) -> u64 {
    x * x
}

/// Asserts that the pool completes a map.
pub(crate) fn is_usable(pool: &Pool) {
    let squares = pool.map(square, 0..20).unwrap();
    assert!(squares.into_iter().eq((0..20).map(square)));
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Waits for the end of a process that may be no child of this one.
pub(crate) fn wait_for_end_of(pid: i32) {
    if let Ok(pidfd) = pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()) {
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    }
}

/// Waits for a condition that nothing reports.
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

/// The id of the process in which the task of `handle` runs, once it has been given to a worker.
pub(crate) fn process_of<R>(pool: &Pool, handle: &TaskHandle<R>) -> i32 {
    loop {
        let processes = pool.processes().into_iter();
        let has_it = |task: &std::sync::Arc<farm_core::TaskName>| task.id == handle.task().id;
        if let Some(process) = processes.into_iter().find(|p| p.task.as_ref().is_some_and(has_it)) {
            return process.pid.cast_signed();
        }
        std::thread::yield_now();
    }
}

/// The state of a process, such as `R` or `T`, as /proc tells it.
pub(crate) fn state_of(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// A folder in which tasks leave files for the test. It is removed when this is dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("processes-{}-{n}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.0).unwrap();
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes the file with the lowest number that is free, and returns that number.
pub(crate) fn take_number(folder: &Path) -> usize {
    let is_taken = |n: &usize| {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(folder.join(n.to_string()))
            .is_err()
    };
    (0..).find(|n| !is_taken(n)).unwrap()
}

/// A control group for one process. It is removed when this is dropped.
pub(crate) struct Group(pub(crate) String);

impl Group {
    /// Makes a group with the setting that `limit` returns for the version of control groups in
    /// use; `None` if this process may not make one.
    pub(crate) fn new(
        controller: &str,
        limit: impl Fn(u32) -> (&'static str, String),
    ) -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let path =
            |tag: &str| groups.lines().find_map(|line| Some(line.split_once(tag)?.1.to_owned()));
        let (folder, version) = match (path(&format!(":{controller}:")), path("0::")) {
            (Some(path), _) => (format!("/sys/fs/cgroup/{controller}{path}"), 1),
            (None, Some(path)) => (format!("/sys/fs/cgroup{path}"), 2),
            (None, None) => return None,
        };
        let folder = format!("{}/farm-test-{}", folder.trim_end_matches('/'), std::process::id());
        std::fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        let (file, value) = limit(version);
        std::fs::write(format!("{}/{file}", group.0), value).ok()?;
        Some(group)
    }

    /// Puts this process into the group of that name.
    pub(crate) fn enter(name: &str) {
        std::fs::write(format!("{name}/cgroup.procs"), std::process::id().to_string()).unwrap();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// This variable is set in processes that a test starts to play a part, such as that of a master.
const PART: &str = "FARM_TEST_PART";

/// The part that this process has to play; `None` if it is the test itself.
pub(crate) fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// A command that runs this test program again, for the test `name` alone and with `part` set.
pub(crate) fn play(name: &str, part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(PART, part);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}
