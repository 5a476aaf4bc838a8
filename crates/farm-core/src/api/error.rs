//! The errors: of a task ([`TaskError`]), as a worker reports one ([`Failure`]), the death of a
//! worker ([`Loss`]), and the errors of a pool ([`FarmError`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::backend::task::{TaskName, WorkerId};
use crate::wire::function::FunctionError;

/// The reason why a task has no result.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function has panicked. The worker is still alive.
    #[error("{task} panicked{}: {message}", at(.location))]
    Panicked {
        /// The task.
        task: Arc<TaskName>,
        /// The message of the panic.
        message: String,
        /// The place of the panic: file, line and column.
        location: Option<String>,
        /// The backtrace of the panic.
        backtrace: String,
    },
    /// The worker has died while it ran the task. The pool replaces the worker.
    #[error("{task} lost its worker{}: {loss}", each_time(.attempts))]
    WorkerLost {
        /// The task.
        task: Arc<TaskName>,
        /// Which worker has died, and how. After several attempts, this is the loss of the last
        /// one.
        loss: Box<Loss>,
        /// The number of attempts that have failed.
        attempts: u32,
    },
    /// The task has exceeded its time limit, and was stopped together with its worker.
    #[error("{task} took longer than its {limit:?}{}", each_time(.attempts))]
    TimedOut {
        /// The task.
        task: Arc<TaskName>,
        /// The time limit of each attempt.
        limit: Duration,
        /// The number of attempts that have failed.
        attempts: u32,
    },
    /// The task was cancelled, or its pool was terminated or dropped.
    #[error("{task} was cancelled")]
    Cancelled {
        /// The task.
        task: Arc<TaskName>,
    },
    /// The argument or the result could not be encoded.
    #[error("{task}: its {stage} cannot be encoded: {reason}")]
    Encode {
        /// The task.
        task: Arc<TaskName>,
        /// What could not be encoded.
        stage: Stage,
        /// The message of its `Serialize`.
        reason: String,
    },
    /// The argument, the result, or the report of a failure could not be decoded.
    #[error("{task}: its {stage} cannot be decoded: {reason}")]
    Decode {
        /// The task.
        task: Arc<TaskName>,
        /// What could not be decoded.
        stage: Stage,
        /// The message of its `Deserialize`.
        reason: String,
    },
    /// There is not enough memory to transfer the argument or the result.
    #[error("{task}: there is no room for its {stage}: {reason}")]
    NoRoom {
        /// The task.
        task: Arc<TaskName>,
        /// What there is no memory for.
        stage: Stage,
        /// How much memory is needed, and where.
        reason: String,
    },
    /// The task has kept handles of shared arrays beyond its end, in a static or on another thread.
    /// The worker process is killed, because it could still read and write what other tasks are
    /// given next.
    #[error(
        "{task} has kept what it was lent beyond its end: {}; return it, or drop it before the task ends",
        .handles.join(", ")
    )]
    Escaped {
        /// The task.
        task: Arc<TaskName>,
        /// The handles that were kept: for each, its kind and its segment.
        handles: Vec<String>,
    },
    /// The function cannot be sent, or the worker does not know it.
    #[error("{task} cannot be called: {source}")]
    Function {
        /// The task.
        task: Arc<TaskName>,
        /// Why the function was refused.
        source: FunctionError,
    },
    /// The pool does not support an option of the task.
    #[error(
        "{task} asks for {what}, which this pool cannot give: leave it out, or use farm_process::Pool"
    )]
    Unsupported {
        /// The task.
        task: Arc<TaskName>,
        /// What the option asks for.
        what: &'static str,
    },
    /// A task has submitted a task.
    #[error(
        "{task} was submitted from inside a task; return the data and let the master submit, or use threads inside the task"
    )]
    Nested {
        /// The task that was refused.
        task: Arc<TaskName>,
    },
    /// The outcome was taken before: the handle was polled after it had returned the outcome.
    #[error(
        "{task} has given its outcome already, when its handle was polled; keep what that gave"
    )]
    Taken {
        /// The task.
        task: Arc<TaskName>,
    },
    /// The pool has no workers left and cannot start new ones, or this process is a fork of the one
    /// that made the pool.
    #[error("{task} has no pool: {reason}")]
    NoWorkers {
        /// The task.
        task: Arc<TaskName>,
        /// Why there are no workers.
        reason: Arc<str>,
    },
}

/// A value of a task that travels between master and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stage {
    /// The argument, which goes to the worker.
    Argument,
    /// The result, which goes to the master.
    Result,
    /// The report of a failure, which goes to the master.
    Failure,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argument => "argument",
            Self::Result => "result",
            Self::Failure => "failure",
        })
    }
}

fn at(location: &Option<String>) -> String {
    location.as_ref().map(|place| format!(" at {place}")).unwrap_or_default()
}

fn each_time(attempts: &u32) -> String {
    if *attempts > 1 { format!(" at each of {attempts} attempts") } else { String::new() }
}

impl TaskError {
    /// Whether the task, if it was sent, may have stopped half-way while it wrote to rows of an
    /// array. Only errors about the result say that the function has returned.
    pub(crate) fn leaves_torn_rows(&self) -> bool {
        !matches!(
            self,
            Self::Encode { stage: Stage::Result, .. }
                | Self::Decode { stage: Stage::Result, .. }
                | Self::NoRoom { stage: Stage::Result, .. }
        )
    }

    /// The task that has failed.
    pub fn task(&self) -> &Arc<TaskName> {
        match self {
            Self::Panicked { task, .. }
            | Self::WorkerLost { task, .. }
            | Self::TimedOut { task, .. }
            | Self::Unsupported { task, .. }
            | Self::Cancelled { task }
            | Self::Encode { task, .. }
            | Self::Decode { task, .. }
            | Self::NoRoom { task, .. }
            | Self::Escaped { task, .. }
            | Self::Function { task, .. }
            | Self::Nested { task }
            | Self::Taken { task }
            | Self::NoWorkers { task, .. } => task,
        }
    }
}

/// The death of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The worker that has died.
    pub worker: WorkerId,
    /// The process id of the worker.
    pub pid: u32,
    /// The signal that ended the worker, if a signal did.
    pub signal: Option<i32>,
    /// The exit code of the worker, if it has exited.
    pub code: Option<i32>,
    /// Whether the process was reaped by something other than the pool, so that neither its signal
    /// nor its exit code is known. This happens if the program waits for all its children
    /// (`waitpid(-1)`) or ignores SIGCHLD.
    pub reaped_by_others: bool,
    /// How long the worker was stopped, as by SIGSTOP, if the pool has killed it for that.
    pub stopped: Option<Duration>,
    /// Whether the worker was probably killed because memory ran out: SIGKILL ended it, the pool
    /// had not killed it, and the kernel's count of processes killed for want of memory had
    /// increased. This is the count of the control group, where it has one.
    pub out_of_memory: bool,
    /// The largest amount of resident memory of the worker, in bytes, if it is known.
    pub peak_memory: Option<u64>,
    /// The memory limit of the worker, in bytes, if the pool sets one.
    pub memory_limit: Option<u64>,
    /// The last lines that the worker has written to stderr or stdout, without those of a panic's
    /// backtrace.
    pub last_output: Arc<str>,
}

impl Loss {
    /// A loss of which only the worker and its process id are known.
    pub fn new(worker: WorkerId, pid: u32) -> Self {
        Self {
            worker,
            pid,
            signal: None,
            code: None,
            reaped_by_others: false,
            stopped: None,
            out_of_memory: false,
            peak_memory: None,
            memory_limit: None,
            last_output: "".into(),
        }
    }

    /// The name of the signal that ended the worker, such as `SIGSEGV`.
    pub fn signal_name(&self) -> Option<String> {
        self.signal.map(signal_name)
    }
}

/// One line. It ends with the last informative line of the worker's output, if there is one.
impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, pid, stopped, .. } = self;
        write!(f, "{worker} (pid {pid}) ")?;
        match (self.signal_name(), self.code) {
            (Some(_), _) if stopped.is_some() => {
                write!(f, "was stopped for {:.1?} and then killed", stopped.unwrap_or_default())?;
            }
            (Some(name), _) => write!(f, "was ended by {name}")?,
            (None, Some(code)) => write!(f, "exited with code {code}")?,
            (None, None) if self.reaped_by_others => write!(
                f,
                "has ended, and how is not known: its end was reaped by somebody else, since the program waits for all its \
                 children (`waitpid(-1)`) or ignores SIGCHLD"
            )?,
            (None, None) => write!(f, "is gone")?,
        }
        if self.out_of_memory {
            write!(f, ", probably because memory ran out")?;
        }
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        match (self.peak_memory.map(mib), self.memory_limit.map(mib)) {
            (Some(peak), Some(limit)) => write!(f, "; it used {peak} MiB, limit {limit} MiB")?,
            (Some(peak), None) => write!(f, "; it used {peak} MiB")?,
            (None, Some(limit)) => write!(f, "; its limit was {limit} MiB")?,
            (None, None) => {}
        }
        match self.last_output.lines().rfind(says_something) {
            Some(line) => write!(f, "; its last output: {}", line.trim()),
            None => Ok(()),
        }
    }
}

/// Whether a line of output is not empty, not a note, and not indented below another line.
fn says_something(line: &&str) -> bool {
    !line.trim().is_empty() && !line.starts_with(' ') && !line.starts_with("note: ")
}

/// The name of a signal, such as `SIGSEGV`. Source: signal(7).
fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGALRM => "SIGALRM",
        libc::SIGBUS => "SIGBUS",
        libc::SIGCHLD => "SIGCHLD",
        libc::SIGCONT => "SIGCONT",
        libc::SIGFPE => "SIGFPE",
        libc::SIGHUP => "SIGHUP",
        libc::SIGILL => "SIGILL",
        libc::SIGINT => "SIGINT",
        libc::SIGIO => "SIGIO",
        libc::SIGKILL => "SIGKILL",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGPROF => "SIGPROF",
        libc::SIGPWR => "SIGPWR",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGSTKFLT => "SIGSTKFLT",
        libc::SIGSTOP => "SIGSTOP",
        libc::SIGSYS => "SIGSYS",
        libc::SIGTERM => "SIGTERM",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGTSTP => "SIGTSTP",
        libc::SIGTTIN => "SIGTTIN",
        libc::SIGTTOU => "SIGTTOU",
        libc::SIGURG => "SIGURG",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGVTALRM => "SIGVTALRM",
        libc::SIGWINCH => "SIGWINCH",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        first if first == libc::SIGRTMIN() => "SIGRTMIN",
        real_time if (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&real_time) => {
            return format!("SIGRTMIN+{}", real_time - libc::SIGRTMIN());
        }
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// The reason why a task has no result, as a worker reports it: a [`TaskError`] without the name of
/// the task, which the master knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The function has panicked.
    Panicked {
        /// The message of the panic.
        message: String,
        /// The place of the panic: file, line and column.
        location: Option<String>,
        /// The backtrace of the panic.
        backtrace: String,
    },
    /// Handles of shared arrays are still held after the end of the task.
    Escaped {
        /// The handles, by name.
        handles: Vec<String>,
    },
    /// A value could not be encoded.
    Encode {
        /// What could not be encoded; in a worker, the result.
        stage: Stage,
        /// The message of its `Serialize`.
        reason: String,
    },
    /// A value could not be decoded, or did not arrive whole.
    Decode {
        /// What could not be decoded.
        stage: Stage,
        /// The message of its `Deserialize`, or what was lost.
        reason: String,
    },
    /// There is not enough memory to transfer a value.
    NoRoom {
        /// What there is no memory for.
        stage: Stage,
        /// How much memory is needed, and where.
        reason: String,
    },
    /// The reference in the message leads to no function.
    Unknown {
        /// The offset in that reference.
        offset: i64,
    },
}

impl Failure {
    /// Returns the error of the task that has failed in this way.
    pub fn of(self, task: Arc<TaskName>) -> TaskError {
        match self {
            Self::Panicked { message, location, backtrace } => {
                TaskError::Panicked { task, message, location, backtrace }
            }
            Self::Escaped { handles } => TaskError::Escaped { task, handles },
            Self::Encode { stage, reason } => TaskError::Encode { task, stage, reason },
            Self::Decode { stage, reason } => TaskError::Decode { task, stage, reason },
            Self::NoRoom { stage, reason } => TaskError::NoRoom { task, stage, reason },
            Self::Unknown { offset } => {
                TaskError::Function { task, source: FunctionError::Unknown { offset } }
            }
        }
    }
}

/// The reason why a pool could not be made. A [`TaskError`] can be converted into it, for functions
/// that make a pool and run tasks.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FarmError {
    /// The number of workers is 0, or larger than a pool can have.
    #[error("a pool of {asked} workers cannot be made: ask for 1 to {most}")]
    Workers {
        /// The number of workers that was asked for.
        asked: usize,
        /// The largest number of workers that a pool can have.
        most: usize,
    },
    /// The pool was made inside a task.
    #[error(
        "a pool cannot be made inside a task: return the data and let the master submit more tasks, or use threads (rayon) inside the task"
    )]
    Nested,
    /// `farm_process::init` was not called.
    #[error(
        "workers cannot start: call farm_process::init() first in main, or, in tests, put farm_process::init_before_main!() at the top of the test file"
    )]
    NotInitialised,
    /// The limit on file descriptors is too low for so many workers.
    #[error(
        "{workers} workers need some {needed} file descriptors, and {left} are left: raise the limit (`ulimit -n`), or ask for fewer workers"
    )]
    Descriptors {
        /// The number of workers that was asked for.
        workers: usize,
        /// The number of descriptors that the pool needs.
        needed: usize,
        /// The number of descriptors that this process may still open.
        left: usize,
    },
    /// The initializer or its argument cannot be sent to the workers.
    #[error("the initializer cannot be sent: {reason}")]
    Initializer {
        /// The reason.
        reason: String,
    },
    /// A worker has ended, or has taken too long, before it was ready.
    #[error("worker (pid {pid}) did not come up: {reason}")]
    Start {
        /// The process id of the worker; 0 if it had no process.
        pid: u32,
        /// What has happened.
        reason: String,
    },
    /// The system has refused something that the pool needs.
    #[error("cannot {doing}: {source}")]
    System {
        /// What the pool was doing.
        doing: &'static str,
        /// The error of the system.
        source: std::io::Error,
    },
    /// A task has failed.
    #[error(transparent)]
    Task(#[from] TaskError),
}
