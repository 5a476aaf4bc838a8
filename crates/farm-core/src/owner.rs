//! What a process owns in the shared-memory file system, by name.
//!
//! Whoever makes such files begins their names with its [`Owner`], and whoever survives it can remove
//! them. The worker processes of a master that was killed do so.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where Linux keeps shared memory that has a name.
const FOLDER: &str = "/dev/shm";

/// A process that owns files: `farm-<pid>-<start time>`. With the start time, a process id that is used
/// again names nothing of its former owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner {
    pid: u32,
    started: u64,
}

impl Owner {
    /// The process with this id, as it is now; `None` if there is none, or /proc does not tell.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Source: proc_pid_stat(5), field 22. The second field is the name of the program and may hold
        // anything; it ends at the last `)`.
        let fields = stat.rsplit(')').next()?;
        let started = fields.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// This process.
    pub fn this() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self { pid, started: 0 })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it lives; a process that has ended and is not reaped does not.
    pub fn is_alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let state = stat.rsplit(')').next().and_then(|fields| fields.trim_start().chars().next());
        Self::of(self.pid) == Some(*self) && !matches!(state, None | Some('Z' | 'X'))
    }

    /// Removes all that it has left. It must be dead.
    pub fn remove_what_is_left(&self) {
        let prefix = format!("{self}-");
        let files = Path::new(FOLDER).read_dir().into_iter().flatten().flatten();
        for file in
            files.filter(|f| f.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "farm-{}-{}", self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = ();

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, started) =
            text.strip_prefix("farm-").and_then(|rest| rest.split_once('-')).ok_or(())?;
        Ok(Self { pid: pid.parse().map_err(drop)?, started: started.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_removed_and_nothing_else() {
        let owner = Owner { pid: std::process::id(), started: 1 };
        let other = Owner { started: 12, ..owner };
        let [left, others] = [owner, other].map(|owner| format!("{FOLDER}/{owner}-0"));
        std::fs::write(&left, "").unwrap();
        std::fs::write(&others, "").unwrap();
        owner.remove_what_is_left();
        let is_there = [&left, &others].map(|file| Path::new(file).exists());
        other.remove_what_is_left();
        assert_eq!(is_there, [false, true]);
        assert!(!Path::new(&others).exists());
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_the_same_id() {
        assert_eq!(Owner::of(std::process::id()), Some(Owner::this()));
        assert_ne!(Owner::this().started, 0);
        assert!(Owner::this().is_alive() && !Owner { started: 1, ..Owner::this() }.is_alive());
        assert_eq!(Owner::of(u32::MAX), None);
        assert_eq!(Owner::this().to_string().parse(), Ok(Owner::this()));
    }
}
