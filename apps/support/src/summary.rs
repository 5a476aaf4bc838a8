//! The last lines of a run, on standard output.

use std::fmt::Display;
use std::io::Write;

/// Prints lines on standard output. Errors are ignored: the reader may have closed it.
pub fn print(lines: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{lines}");
}

/// A number with its noun: `1 worker`, `2 workers`.
pub fn counted(n: u64, thing: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {thing}{s}")
}

/// The line about workers that died and tasks that were started again; `None` if there are none.
pub fn losses(workers: u64, retries: u64) -> Option<String> {
    let again = match retries {
        0 => "no task had to be started again".to_owned(),
        1 => "1 task was started again".to_owned(),
        n => format!("tasks were started again {n} times"),
    };
    (workers + retries > 0)
        .then(|| format!("lost:           {}; {again}", counted(workers, "worker")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_only_if_there_are_any() {
        assert_eq!(losses(0, 0), None);
        let told = |workers, retries| losses(workers, retries).unwrap();
        assert_eq!(told(1, 0), "lost:           1 worker; no task had to be started again");
        assert_eq!(told(1, 1), "lost:           1 worker; 1 task was started again");
        assert_eq!(told(31, 28), "lost:           31 workers; tasks were started again 28 times");
    }
}
