//! A program that runs, with a watchdog.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::left;

/// How long anything may take before it counts as hanging. Nothing takes a tenth of that on a busy
/// machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

/// How a program ended, and all that it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; `None` after a signal that was not caught.
    pub code: Option<i32>,
    /// What was on standard output.
    pub out: String,
    /// What was on standard error, that of the workers included.
    pub err: String,
    /// The segments of shared memory that it left; they are removed by now.
    pub segments: Vec<String>,
}

/// A program on its way; killed when it is dropped.
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

    /// The processes that the program has started.
    pub fn workers(&self) -> Vec<i32> {
        let own = self.pid().cast_signed();
        left::processes_in(&self.folder).into_iter().filter(|pid| *pid != own).collect()
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

    /// Waits until the run is under way: its arrays are there and, if it has `workers`, all of these
    /// have opened them; otherwise it has computed for a while itself.
    pub fn wait_until_under_way(&mut self, workers: usize) {
        self.wait_until("it was under way", |running| {
            let own = running.pid();
            let opened = |pid: &i32| {
                let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
                maps.contains(&format!("/dev/shm/farm-{own}-"))
            };
            let at_work = running.workers().iter().filter(|pid| opened(pid)).count();
            let alone = workers == 0 && ticks(own) >= 10;
            !left::segments_of(own).is_empty() && (alone || workers > 0 && at_work == workers)
        });
    }

    /// Whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("the child is ours").is_some()
    }

    /// Waits for the end of the program and of all that it has started.
    pub fn end(mut self) -> Ended {
        // A program that has been seen to end has none.
        let end = left::end_of(self.pid().cast_signed());
        assert!(end.is_none_or(|end| left::wait(&end)), "it does not end");
        let status = self.child.wait().expect("the child is ours");
        // These come to their ends when the last worker has closed them.
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
        // After `end` there is nothing to be killed; after a failed test there is.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
        // Nobody may be left to listen after a failed test.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// Processor time of a process in hundredths of a second. Source: proc_pid_stat(5), fields 14 and 15.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}
