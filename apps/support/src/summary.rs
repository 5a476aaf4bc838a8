//! The lines that a run ends with, on standard output.

use std::fmt::Display;
use std::io::Write;

/// Prints lines on standard output. Whoever has stopped reading there misses them, and that is all.
pub fn print(lines: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{lines}");
}
