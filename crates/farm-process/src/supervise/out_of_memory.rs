//! Tells whether the kernel has killed a process because memory ran out.

use std::path::PathBuf;

use parking_lot::Mutex;

/// Detects kills for want of memory by the counter that the kernel keeps for each control group.
pub(crate) struct OutOfMemory {
    counter: Option<PathBuf>,
    /// How many of the counted kills are accounted for.
    seen: Mutex<u64>,
}

impl OutOfMemory {
    pub(crate) fn new() -> Self {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let counter = counters(&groups).into_iter().find(|file| kills(file).is_some());
        let seen = counter.as_ref().and_then(kills).unwrap_or(0);
        Self { counter, seen: Mutex::new(seen) }
    }

    /// Whether there has been a kill that is not accounted for. It then is.
    pub(crate) fn has_struck(&self) -> bool {
        let Some(now) = self.counter.as_ref().and_then(kills) else { return false };
        let mut seen = self.seen.lock();
        let news = now > *seen;
        *seen += u64::from(news);
        news
    }
}

/// The files that may have the counter, the best first. Sources: cgroups(7), the kernel's
/// documentation of memory control groups (versions 1 and 2), proc_vmstat(5).
fn counters(groups: &str) -> Vec<PathBuf> {
    let path_of = |prefix: &str| {
        let line = groups.lines().find_map(|line| line.split_once(prefix));
        line.map(|(_, path)| path.trim_start_matches('/').to_owned())
    };
    let mut files = Vec::new();
    if let Some(path) = path_of(":memory:") {
        let root = PathBuf::from("/sys/fs/cgroup/memory");
        files.extend([path.as_str(), ""].map(|path| root.join(path).join("memory.oom_control")));
    }
    if let Some(path) = path_of("0::") {
        let root = PathBuf::from("/sys/fs/cgroup");
        files.extend([path.as_str(), ""].map(|path| root.join(path).join("memory.events")));
    }
    files.push("/proc/vmstat".into());
    files
}

fn kills(counter: &PathBuf) -> Option<u64> {
    let text = std::fs::read_to_string(counter).ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_the_own_group_goes_before_that_of_the_machine() {
        let files = counters("4:memory:/jobs/7\n0::/\n");
        assert_eq!(files[0].to_str(), Some("/sys/fs/cgroup/memory/jobs/7/memory.oom_control"));
        let files = counters("0::/user.slice/a\n");
        assert_eq!(files[0].to_str(), Some("/sys/fs/cgroup/user.slice/a/memory.events"));
        assert_eq!(files.last().and_then(|file| file.to_str()), Some("/proc/vmstat"));
    }
}
