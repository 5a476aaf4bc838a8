//! A progress bar on stderr; nothing in logs, in pipes and with `--quiet`.
//!
//! A bar is drawn only if stderr is a terminal, at most ten times a second, so it can be updated
//! after every sweep. This module knows the bar that is shown: the thread that ends the program
//! clears it first, so the last line on the terminal is the message and not a half-drawn bar.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};

/// The largest number of drawings per second.
const RATE: u8 = 10;

/// The bar on the terminal, for [`clear`].
static SHOWN: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// A bar that fills from zero to a total; dropping it removes it from the terminal.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar for `total` steps with a label before it, drawn if `wanted` and stderr is a terminal.
    pub fn new(label: &str, total: u64, wanted: bool) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let target = ProgressDrawTarget::stderr_with_hz(RATE);
        let bar = ProgressBar::with_draw_target(Some(total), target).with_prefix(label.to_owned());
        let style = "{prefix} [{bar:30}] {percent:>3} %  {elapsed} of about {duration}  {wide_msg}";
        let style = ProgressStyle::with_template(style);
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.downgrade());
        Self(bar)
    }

    /// Sets the number of completed steps.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Adds `steps` completed steps.
    pub fn add(&self, steps: u64) {
        self.0.inc(steps);
    }

    /// Sets the text after the bar, such as the residual.
    pub fn note(&self, text: impl Display) {
        if !self.0.is_hidden() {
            self.0.set_message(text.to_string());
        }
    }

    /// Removes the bar from the terminal.
    pub fn finish(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Removes the bar from the terminal for good: later updates draw nothing.
pub fn clear() {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(bar) = shown.and_then(|bar| bar.upgrade()) {
        bar.finish_and_clear();
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_drawn_unless_it_is_wanted() {
        let bar = Progress::new("heating", 10, false);
        assert!(bar.0.is_hidden());
        bar.set(3);
        bar.add(2);
        bar.note("residual 0.1");
        assert_eq!(bar.0.position(), 5);
        bar.finish();
    }

    #[test]
    fn clearing_without_a_bar_does_nothing() {
        clear();
        clear();
    }
}
