//! The names of segments: `farm-<pid>-<start time of the process>-<n>`.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use farm_os::Owner;
use serde::{Deserialize, Serialize};

use crate::space::FOLDER;

/// The name of a segment. Its owner never uses a name twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Name {
    owner: Owner,
    n: u64,
}

impl Name {
    pub(crate) fn next() -> Self {
        // A program that replaces itself by exec stays the same owner, and must not use a name
        // again. So the numbers start from the time of day.
        static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(microseconds()));
        static OWNER: OnceLock<Owner> = OnceLock::new();
        let known = *OWNER.get_or_init(Owner::this);
        // A forked child is the owner of the segments that it makes itself.
        let owner = if known.pid() == std::process::id() { known } else { Owner::this() };
        // Relaxed: only uniqueness matters.
        Self { owner, n: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// Returns whether this process is the owner. A child that it has forked is not.
    pub(crate) fn is_ours(&self) -> bool {
        self.owner.pid() == std::process::id()
    }

    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("{FOLDER}/{self}"))
    }
}

/// Returns the time of day in microseconds. It advances faster than names are used, so the numbers
/// after an exec are above all former ones.
fn microseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or_default()
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.owner, self.n)
    }
}
