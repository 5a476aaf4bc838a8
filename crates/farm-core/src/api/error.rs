//! What can go wrong: with one task ([`TaskError`]), in a worker ([`Failure`]), with a worker
//! ([`Loss`]), and with a pool ([`FarmError`]).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::backend::task::{TaskName, WorkerId};
use crate::wire::function::FunctionError;

/// What happened to one task that has no result.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The function panicked. Its worker lives on.
    #[error("{task} panicked{}: {message}", at(.location))]
    Panicked {
        /// The task.
        task: Arc<TaskName>,
        /// The panic's message.
        message: String,
        /// The place of the panic: file, line and column.
        location: Option<String>,
        /// The worker's stack at the panic.
        backtrace: String,
    },
    /// The worker died while it ran the task. The pool replaces it.
    #[error("{task} lost its worker{}: {loss}", each_time(.attempts))]
    WorkerLost {
        /// The task.
        task: Arc<TaskName>,
        /// Which worker died, and how; with several attempts, the last.
        loss: Box<Loss>,
        /// How often the task was started.
        attempts: u32,
    },
    /// The task ran over its time, and was stopped together with its worker.
    #[error("{task} took longer than its {limit:?}{}", each_time(.attempts))]
    TimedOut {
        /// The task.
        task: Arc<TaskName>,
        /// How long it was allowed to take.
        limit: Duration,
        /// How often the task was started.
        attempts: u32,
    },
    /// The task was cancelled, or its pool was terminated.
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
        /// Which of them.
        stage: Stage,
        /// What its `Serialize` said.
        reason: String,
    },
    /// The argument or the result could not be decoded, or the report of a failure.
    #[error("{task}: its {stage} cannot be decoded: {reason}")]
    Decode {
        /// The task.
        task: Arc<TaskName>,
        /// Which of them.
        stage: Stage,
        /// What its `Deserialize` said.
        reason: String,
    },
    /// There is no memory in which the argument or the result could travel.
    #[error("{task}: there is no room for its {stage}: {reason}")]
    NoRoom {
        /// The task.
        task: Arc<TaskName>,
        /// Which of them.
        stage: Stage,
        /// How much is wanted, and where.
        reason: String,
    },
    /// The task has kept handles of shared arrays beyond its end, in a static or with a thread. Its worker is
    /// ended, for it could go on reading and writing what others are given next.
    #[error(
        "{task} has kept what it was lent beyond its end: {}; return it, or drop it before the task ends",
        .handles.join(", ")
    )]
    Escaped {
        /// The task.
        task: Arc<TaskName>,
        /// The handles: what each is, and of which segment.
        handles: Vec<String>,
    },
    /// The function cannot be sent, or the worker does not know it.
    #[error("{task} cannot be called: {source}")]
    Function {
        /// The task.
        task: Arc<TaskName>,
        /// StealReason.
        source: FunctionError,
    },
    /// The pool cannot do what the options of the task ask for.
    #[error(
        "{task} asks for {what}, which this pool cannot give: leave it out, or use farm_process::Pool"
    )]
    Unsupported {
        /// The task.
        task: Arc<TaskName>,
        /// What it asks for.
        what: &'static str,
    },
    /// A task tried to submit a task.
    #[error(
        "{task} was submitted from inside a task; return the data and let the master submit, or use threads inside the task"
    )]
    Nested {
        /// The task that was refused.
        task: Arc<TaskName>,
    },
    /// The outcome is not there any more: the handle was polled to its end, which gave it, and then asked again.
    #[error(
        "{task} has given its outcome already, when its handle was polled; keep what that gave"
    )]
    Taken {
        /// The task.
        task: Arc<TaskName>,
    },
    /// The pool has no workers left and cannot start new ones.
    #[error("{task} has no pool: {reason}")]
    NoWorkers {
        /// The task.
        task: Arc<TaskName>,
        /// StealReason workers do not start.
        reason: Arc<str>,
    },
}

/// What of a task travels between master and worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Stage {
    /// Its argument, to the worker.
    Argument,
    /// Its result, to the master.
    Result,
    /// The report of its failure, to the master.
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
    /// Whether the task, once it had been sent, may have stopped half-way in what it was writing. That is so
    /// unless its worker has said that it came to its end, in the last attempt as in all before.
    pub(crate) fn leaves_torn_rows(&self) -> bool {
        !matches!(
            self,
            Self::Encode { stage: Stage::Result, .. }
                | Self::Decode { stage: Stage::Result, .. }
                | Self::NoRoom { stage: Stage::Result, .. }
        )
    }

    /// The task that this happened to.
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

/// How a worker died.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loss {
    /// The worker.
    pub worker: WorkerId,
    /// Its process id.
    pub pid: u32,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// The exit code that it ended with, if it did.
    pub code: Option<i32>,
    /// Its end was reaped by somebody else than the pool: the program waits for all its children (`waitpid(-1)`), or ignores
    /// SIGCHLD. So there is neither signal nor code.
    pub reaped_by_others: bool,
    /// How long it had been stopped, as by SIGSTOP, if that is why the pool has killed it.
    pub stopped: Option<Duration>,
    /// It was killed, and in the same moment the kernel has killed somebody in its control group for want
    /// of memory: probably this worker.
    pub out_of_memory: bool,
    /// The most memory that it has had resident, in bytes, where that is known.
    pub peak_memory: Option<u64>,
    /// The limit of its memory, in bytes, if the pool sets one.
    pub memory_limit: Option<u64>,
    /// The last lines that it wrote to stderr or stdout, without those of a panic's backtrace.
    pub last_output: Arc<str>,
}

impl Loss {
    /// A loss of which no more is known.
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

    /// The name of the signal that ended it, such as `SIGSEGV`.
    pub fn signal_name(&self) -> Option<String> {
        self.signal.map(signal_name)
    }
}

/// One line, with the last of the worker's last lines.
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

/// Whether a line is more than a note below something else, or a part of it.
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

/// What a worker reports of a task that has no result; [`TaskError`] with the task's name left out,
/// which the master knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The function panicked.
    Panicked {
        /// The panic's message.
        message: String,
        /// The place of the panic.
        location: Option<String>,
        /// The stack at the panic.
        backtrace: String,
    },
    /// Handles of shared arrays are still held, after the task.
    Escaped {
        /// Which.
        handles: Vec<String>,
    },
    /// This could not be encoded.
    Encode {
        /// The result, in a worker.
        stage: Stage,
        /// What its `Serialize` said.
        reason: String,
    },
    /// This could not be decoded, or did not arrive whole.
    Decode {
        /// Which.
        stage: Stage,
        /// What its `Deserialize` said, or what was lost.
        reason: String,
    },
    /// There is no room for this.
    NoRoom {
        /// For which.
        stage: Stage,
        /// How much is wanted, and where.
        reason: String,
    },
    /// The reference in the message leads to no function.
    Unknown {
        /// The offset in that reference.
        offset: i64,
    },
}

impl Failure {
    /// The error of the task that this happened to.
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

/// StealReason there is no farm.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FarmError {
    /// A pool of no workers, or of more than a pool can have.
    #[error("a pool of {asked} workers cannot be made: ask for 1 to {most}")]
    Workers {
        /// How many were asked for.
        asked: usize,
        /// How many a pool can have.
        most: usize,
    },
    /// A pool was made inside a task.
    #[error(
        "a pool cannot be made inside a task: return the data and let the master submit more tasks, or use threads (rayon) inside the task"
    )]
    Nested,
    /// `init` was not called.
    #[error(
        "workers cannot start: call farm_process::init() first in main, or, in tests, put farm_process::init_before_main!() at the top of the test file"
    )]
    NotInitialised,
    /// The limit of file descriptors is too low for so many workers.
    #[error(
        "{workers} workers need some {needed} file descriptors, and {left} are left: raise the limit (`ulimit -n`), or ask for fewer workers"
    )]
    Descriptors {
        /// How many workers were asked for.
        workers: usize,
        /// How many descriptors they need.
        needed: usize,
        /// How many the process may still open.
        left: usize,
    },
    /// The initializer, or its argument, cannot be sent to the workers.
    #[error("the initializer cannot be sent: {reason}")]
    Initializer {
        /// Its function, and why.
        reason: String,
    },
    /// A worker ended, or stayed silent, before it was ready.
    #[error("worker (pid {pid}) did not come up: {reason}")]
    Start {
        /// Its process id; 0 if there was none.
        pid: u32,
        /// What happened.
        reason: String,
    },
    /// The system refused something that the pool needs.
    #[error("cannot {doing}: {source}")]
    System {
        /// What the pool was doing.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A task failed, where the caller does not tell the two apart.
    #[error(transparent)]
    Task(#[from] TaskError),
}
