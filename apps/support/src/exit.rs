//! The end of a program: one line on stderr and an exit code.
//!
//! The code is 2 for errors that the user can correct (arguments, files), and 1 for a run that
//! failed. The thread that ends the program takes the output mutex first and keeps it. So a signal
//! that arrives at the same time is either reported alone or not at all: there is never a second
//! line, nor an exit code of a failure that the signal itself caused.

use std::fmt::{self, Display};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use crate::{output, progress};

/// The reason that a program failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The arguments or files given are wrong: exit code 2.
    Usage(String),
    /// The run itself failed: exit code 1.
    Run(String),
}

impl Failure {
    /// A failure that the user can correct.
    pub fn usage(message: impl Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// A failure of the run.
    pub fn run(message: impl Display) -> Self {
        Self::Run(message.to_string())
    }

    /// The exit code of the program: 2 for usage, 1 for a run.
    pub fn code(&self) -> i32 {
        match self {
            Self::Usage(_) => 2,
            Self::Run(_) => 1,
        }
    }

    /// Writes one line on stderr, after the progress line is cleared, and ends the program.
    ///
    /// The calling thread must not hold [`output::critical`].
    pub fn report_and_exit(&self) -> ! {
        let _last = output::critical();
        report(self);
        std::process::exit(self.code())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(message) | Self::Run(message)) = self;
        f.write_str(&one_line(message))
    }
}

impl std::error::Error for Failure {}

impl From<anyhow::Error> for Failure {
    /// Keeps a failure that was wrapped by `anyhow`; any other error becomes a failed run with its
    /// causes.
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::Run(format!("{error:#}")),
        }
    }
}

/// Ends the program with exit code 0, or as [`Failure::report_and_exit`] does.
///
/// This should be the last call of `main`: returning from `main` would race with a signal.
pub fn finish(result: Result<(), Failure>) -> ! {
    if let Err(failure) = result {
        failure.report_and_exit();
    }
    let _last = output::critical();
    progress::clear();
    std::process::exit(0)
}

static PROGRAM: OnceLock<String> = OnceLock::new();

/// Sets the name that precedes every line on stderr; only the first call has an effect.
pub fn name_program(name: &str) {
    PROGRAM.get_or_init(|| one_line(name));
}

/// The program's name: the name that was set, or else the file name of the executable.
pub fn program() -> &'static str {
    PROGRAM.get_or_init(|| {
        let started_as = std::env::args_os().next().unwrap_or_default();
        let name = Path::new(&started_as).file_name().unwrap_or_default();
        one_line(&name.to_string_lossy())
    })
}

/// Escapes the control characters of a text, so that a message stays on one line and cannot control
/// the terminal.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.trim_end().chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Writes `<program>: <message>` to stderr. An error is ignored: stderr may be closed.
pub(crate) fn report(message: impl Display) {
    progress::clear();
    let line = format!("{}: {message}\n", program());
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn control_characters_stay_on_the_line() {
        assert_eq!(one_line("a\nb\tc\u{1b}[31m\n"), "a\\nb\\tc\\u{1b}[31m");
        assert_eq!(one_line("größer ° 5"), "größer ° 5");
    }

    #[test]
    fn the_exit_code_tells_whose_fault_it_was() {
        assert_eq!(Failure::usage("x").code(), 2);
        assert_eq!(Failure::run("x").code(), 1);
    }

    #[test]
    fn a_failure_survives_the_way_through_anyhow() {
        let through: Failure = anyhow::Error::from(Failure::usage("--nx 0: wrong")).into();
        assert_eq!(through, Failure::usage("--nx 0: wrong"));
    }

    #[test]
    fn other_errors_become_a_failed_run_with_their_causes() {
        let error = Err::<(), _>(std::io::Error::other("disk full")).context("cannot write");
        let failure: Failure = error.unwrap_err().into();
        assert_eq!(failure, Failure::run("cannot write: disk full"));
    }
}
