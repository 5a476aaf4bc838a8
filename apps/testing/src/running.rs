//! A running program, with a watchdog.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::left;

/// The time after which any wait counts as hanging. None takes a tenth of it on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// The end of a program, and all of its output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; `None` after a signal that was not caught.
    pub code: Option<i32>,
    /// The text on standard output.
    pub out: String,
    /// The text on standard error, that of the workers included.
    pub err: String,
    /// The segments of shared memory that the program left.
    pub segments: Vec<String>,
}

/// A running program, which is killed when this value is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    folder: PathBuf,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Running {
    pub(crate) fn new(mut child: Child, folder: &Path) -> Self {
        let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
        Self { child, folder: folder.to_path_buf(), out, err }
    }

    /// The process id of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The workers of the program, including those that are still starting.
    pub fn workers(&self) -> Vec<i32> {
        let is_worker = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.starts_with(b"farm-worker\0")
        };
        left::processes_in(&self.folder).into_iter().filter(is_worker).collect()
    }

    /// The workers that have opened arrays of the program, which they do with their first task.
    pub fn at_work(&self) -> Vec<i32> {
        let array = format!("/dev/shm/farm-{}-", self.pid());
        let has_opened = |pid: &i32| {
            fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains(&array))
        };
        self.workers().into_iter().filter(has_opened).collect()
    }

    /// Sends a signal to the program alone.
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the program runs");
    }

    /// Sends a signal to the program's process group, as a terminal does.
    pub fn send_to_group(&self, signal: Signal) {
        kill_process_group(Pid::from_child(&self.child), signal).expect("the program runs");
    }

    /// Waits until `condition` is true of the program, which must not end before.
    pub fn wait_until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !condition(self) {
            let ended = self.child.try_wait().expect("the child is ours");
            assert!(ended.is_none(), "it ended before {what}: {:?}", self.err.recv());
            assert!(started.elapsed() < LIMIT, "waited in vain until {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until the run is under way: its arrays exist and all of its `workers` have opened them
    /// or, if there are none, the program itself has computed for a while.
    pub fn wait_until_under_way(&mut self, workers: usize) {
        self.wait_until("it was under way", |running| {
            let own = running.pid();
            let alone = || workers == 0 && ticks(own.cast_signed()) >= 10;
            let at_work = || workers > 0 && running.at_work().len() == workers;
            !left::segments_of(own).is_empty() && (alone() || at_work())
        });
    }

    /// Stops the program, and waits until that has happened.
    pub fn stop(&mut self) {
        self.send(Signal::STOP);
        self.wait_until("it stopped", |it| is_in("T", it.pid().cast_signed()));
    }

    /// Whether all workers are in `state`: `S` if they wait for tasks, `T` if they are stopped.
    pub fn workers_are(&self, state: &str) -> bool {
        let workers = self.workers();
        !workers.is_empty() && workers.into_iter().all(|pid| is_in(state, pid))
    }

    /// Waits until all workers are in `state`.
    pub fn wait_until_workers_are(&mut self, state: &str) {
        self.wait_until("its workers came to rest", |it| it.workers_are(state));
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Waits for the end of the program and of all processes that it has started.
    pub fn end(mut self) -> Ended {
        // A program whose end was already observed has no pidfd.
        let end = left::end_of(self.pid().cast_signed());
        assert!(end.is_none_or(|end| left::wait(&end)), "it does not end");
        let status = self.child.wait().expect("the child is ours");
        // The pipes end when the last worker has closed them.
        let (out, err) = (self.out.recv_timeout(LIMIT), self.err.recv_timeout(LIMIT));
        left::wait_until_empty(&self.folder);
        Ended {
            code: status.code(),
            out: out.expect("stdout is closed"),
            err: err.expect("stderr is closed"),
            segments: left::segments_of(self.pid()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `end` there is nothing to kill; after a failed test there may be.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for worker in self.workers().into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(worker, Signal::KILL);
        }
        left::remove_segments_of(self.pid());
    }
}

/// Reads to the end on a thread of its own, so that the program never waits for its reader.
fn read(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        }
        // After a failed test the receiver may be gone.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Whether all threads of a process are in `state`, such as `S` (waiting) and `T` (stopped).
/// Source: proc_pid_stat(5), field 3.
fn is_in(state: &str, pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| stat(&thread.path())).all(|stat| stat.first().is_some_and(|s| s == state))
}

/// The processor time of a process in hundredths of a second. Source: proc_pid_stat(5), fields 14
/// and 15.
fn ticks(pid: i32) -> u64 {
    let stat = stat(Path::new(&format!("/proc/{pid}")));
    stat.iter().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// The fields of the status of a process or thread, from field 3 on; empty if it is gone.
fn stat(folder: &Path) -> Vec<String> {
    let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.map(str::to_owned).collect()
}
