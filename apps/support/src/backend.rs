//! The options that every program has: the pool, the number of workers, and what to print.
//!
//! They are defined here so that they are the same in all programs. Each program creates the pool
//! itself: this crate depends on no pool.

use std::fmt::{self, Display};
use std::thread;

use crate::values::{count_to, up_to};

/// The largest number of workers that a user can ask for.
pub const MAX_WORKERS: usize = 1024;

/// The largest number of retries that a user can ask for.
pub const MAX_RETRIES: u32 = 1000;

/// The pool that runs the tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, clap::ValueEnum)]
pub enum Backend {
    /// One after the other, in the program itself
    Mono,
    /// Worker processes
    #[default]
    Process,
    /// Threads of the program itself
    Rayon,
}

impl Backend {
    /// The name as users type it and programs print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mono => "mono",
            Self::Process => "process",
            Self::Rayon => "rayon",
        }
    }
}

impl Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The arguments that all programs share; a program includes them with `#[command(flatten)]`.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Pool that runs the tasks
    #[arg(long, value_enum, default_value_t)]
    pub backend: Backend,
    /// Number of workers, 1 to 1024 [default: the cores that this process may use]
    #[arg(long, value_name = "N", value_parser = workers, default_value_t = default_workers(),
          hide_default_value = true)]
    pub workers: usize,
    /// How often a task is started again when its worker dies, 0 to 1000 (process only)
    #[arg(long, value_name = "N", value_parser = retries, default_value_t = 0)]
    pub retries: u32,
    /// Print no progress and no summary
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// Whether a progress bar may be shown if stderr is a terminal.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && !self.json
    }
}

/// Value parser for a number of workers, from 1 to [`MAX_WORKERS`].
///
/// # Errors
/// Any other text, with the range in the message.
pub fn workers(text: &str) -> Result<usize, String> {
    count_to::<MAX_WORKERS>(text)
}

/// Value parser for a number of retries, from 0 to [`MAX_RETRIES`].
///
/// # Errors
/// Any other text, with the range in the message.
pub fn retries(text: &str) -> Result<u32, String> {
    up_to::<{ MAX_RETRIES as usize }>(text).map(|n| n as u32)
}

/// The number of cores that this process may use; 1 if the system does not tell.
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_WORKERS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Parser, ValueEnum};

    #[derive(Parser)]
    struct Sample {
        #[command(flatten)]
        common: Common,
    }

    #[test]
    fn processes_on_all_cores_are_the_default() {
        let common = Sample::parse_from(["x"]).common;
        assert_eq!((common.backend, common.workers), (Backend::Process, default_workers()));
        assert_eq!(common.retries, 0);
        assert!(common.shows_progress());
    }

    #[test]
    fn every_backend_is_typed_as_it_is_printed() {
        for backend in Backend::value_variants() {
            assert_eq!(Backend::from_str(&backend.to_string(), false), Ok(*backend));
        }
    }

    #[test]
    fn workers_range_from_1_to_1024() {
        assert_eq!((workers("1"), workers("1024")), (Ok(1), Ok(1024)));
        assert_eq!(workers("1025"), Err("must be a whole number from 1 to 1024".into()));
        assert!(workers("0").is_err());
    }

    #[test]
    fn retries_range_from_0_to_1000() {
        assert_eq!((retries("0"), retries("1000")), (Ok(0), Ok(1000)));
        assert_eq!(retries("1001"), Err("must be a whole number from 0 to 1000".into()));
        assert!(retries("-1").is_err());
    }

    #[test]
    fn quiet_and_json_hide_the_progress_bar() {
        assert!(!Sample::parse_from(["x", "--quiet"]).common.shows_progress());
        assert!(!Sample::parse_from(["x", "--json"]).common.shows_progress());
    }
}
