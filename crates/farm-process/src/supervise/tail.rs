//! The end of a worker's output, for the error that reports the worker's death.
//!
//! The backtrace of a panic is longer than what is kept, and follows the message, so it is left out
//! here. It is still written to stderr.

use std::sync::Arc;

/// A longer line is passed on in parts.
pub(crate) const LONGEST_LINE: usize = 8192;

/// How many bytes are kept.
const KEPT: usize = 4096;

#[derive(Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
    /// The part of an incomplete line that has arrived.
    line: Vec<u8>,
    /// Whether the last line was one of a backtrace.
    is_in_backtrace: bool,
}

impl Tail {
    /// Adds output that has arrived.
    pub(crate) fn add(&mut self, news: &[u8]) {
        for piece in news.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > LONGEST_LINE {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        self.is_in_backtrace = if self.is_in_backtrace {
            is_of_backtrace(&self.line)
        } else {
            self.line.trim_ascii() == b"stack backtrace:"
        };
        if !self.is_in_backtrace && !is_advice_on_backtraces(&self.line) {
            self.bytes.extend_from_slice(&self.line);
            if self.bytes.len() > 2 * KEPT {
                self.shorten();
            }
        }
        self.line.clear();
    }

    /// Keeps the last whole lines, or the end of a line that is longer.
    fn shorten(&mut self) {
        let too_much = self.bytes.len().saturating_sub(KEPT);
        if too_much > 0 {
            let end = self.bytes[too_much..].iter().position(|byte| *byte == b'\n');
            let lines = end.map(|end| too_much + end + 1).filter(|start| *start < self.bytes.len());
            self.bytes.drain(..lines.unwrap_or(too_much));
        }
    }

    /// The text that is kept.
    pub(crate) fn last(&mut self) -> Arc<str> {
        self.end_line();
        self.shorten();
        String::from_utf8_lossy(&self.bytes).trim().into()
    }
}

/// Whether a line continues a backtrace: `  12: path::of::a::function`, or
/// `      at file:line:column`.
fn is_of_backtrace(line: &[u8]) -> bool {
    let text = line.trim_ascii_start();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_frame = digits > 0 && text[digits..].starts_with(b":");
    let is_omission = text.starts_with(b"[...") || text.starts_with(b"[... omitted");
    text.len() < line.len() && (is_frame || text.starts_with(b"at ") || is_omission)
}

/// Whether the runtime explains in this line how to get a backtrace, or a longer one.
fn is_advice_on_backtraces(line: &[u8]) -> bool {
    line.starts_with(b"note: ") && line.windows(14).any(|part| part == b"RUST_BACKTRACE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_of(pieces: &[&str]) -> String {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.add(piece.as_bytes()));
        tail.last().to_string()
    }

    #[test]
    fn a_backtrace_is_left_out_however_long_it_is_and_in_whatever_pieces_it_comes() {
        let frame =
            |n| format!("{n:4}: core::ops::function::f\n             at /rustc/0a/core.rs:9:5\n");
        let trace: String = (0..500).map(frame).collect();
        let text = format!(
            "thread 'a' (7) panicked at src/main.rs:1:2:\nthe message\nstack backtrace:\n{trace}note: Some details are \
             omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.\n  12: indented, of the program\naborting"
        );
        let expected = "thread 'a' (7) panicked at src/main.rs:1:2:\nthe message\n  12: indented, of the program\naborting";
        assert_eq!(last_of(&[&text]), expected);
        let pieces: Vec<_> = (0..text.len()).map(|at| &text[at..=at]).collect();
        assert_eq!(last_of(&pieces), expected);
    }

    #[test]
    fn the_last_whole_lines_are_kept_or_the_end_of_a_longer_one() {
        let lines: String = (0..2000).map(|n| format!("line {n}\n")).collect();
        let last = last_of(&[&lines]);
        assert!(last.len() <= KEPT && last.starts_with("line ") && last.ends_with("line 1999"));
        let last = last_of(&[&"x".repeat(30_000), "end"]);
        assert!(last.len() <= KEPT && last.ends_with("xend"), "{}", last.len());
    }
}
