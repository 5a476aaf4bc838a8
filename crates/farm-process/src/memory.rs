//! Memory of workers: its limit, its peak, and whether the kernel ran out of it.

use std::path::PathBuf;

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits the memory that this process may allocate for itself.
///
/// The limit is on data (private memory that can be written to), not on addresses: shared arrays do not
/// count. Source: getrlimit(2), `RLIMIT_DATA`.
pub(crate) fn limit_this_process(bytes: u64) -> std::io::Result<()> {
    let former = getrlimit(Resource::Data);
    let current = former.maximum.map_or(bytes, |most| bytes.min(most));
    Ok(setrlimit(Resource::Data, Rlimit { current: Some(current), ..former })?)
}

/// How many addresses a process has where there is no limit on them.
const ALL_ADDRESSES: u64 = 128 << 40;

/// How many of them the threads of a pool and a worker need.
const POOL: u64 = 32 << 20;
const WORKER: u64 = 3 << 20;

/// What glibc reserves for an arena, from which it allocates.
#[cfg(target_env = "gnu")]
const ARENA: u64 = 64 << 20;

/// How many addresses are left to this process. Source: getrlimit(2), `RLIMIT_AS`.
pub(crate) fn addresses_left() -> u64 {
    let Some(limit) = getrlimit(Resource::As).current else { return ALL_ADDRESSES };
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0_u64);
    let used = pages.saturating_mul(rustix::param::page_size() as u64);
    limit.saturating_sub(used).min(ALL_ADDRESSES)
}

/// Says that there are too few addresses left for a pool of so many workers, if that is so.
pub(crate) fn check_addresses(workers: usize) -> std::io::Result<()> {
    let (needed, left) = (POOL + WORKER * workers as u64, addresses_left());
    if needed <= left {
        return Ok(());
    }
    let [needed, left] = [needed, left].map(|bytes| bytes >> 20);
    Err(std::io::Error::other(format!(
        "some {needed} MiB of addresses are needed, and {left} MiB are left (`ulimit -v` raises the limit)"
    )))
}

/// Keeps glibc from reserving most of the addresses for the threads of a pool, where they are limited: a quarter is enough
/// for that, unless the user says otherwise.
pub(crate) fn be_modest_with_arenas() {
    #[cfg(target_env = "gnu")]
    if let Some(limit) = getrlimit(Resource::As).current
        && std::env::var_os("MALLOC_ARENA_MAX").is_none()
        && std::env::var_os("GLIBC_TUNABLES").is_none()
    {
        let most = (limit / 4 / ARENA).max(1);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if most < 8 * cores as u64 {
            // SAFETY: it sets a number of the allocator, under the allocator's own lock.
            unsafe { libc::mallopt(libc::M_ARENA_MAX, most as libc::c_int) };
        }
    }
}

/// The most memory that this process has had resident so far, in bytes.
///
/// A child inherits this from its parent as the start of its own peak, as far as the kernel reports that
/// after its death; only more than this is known to be its own.
pub(crate) fn peak_of_this_process() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    // Where it is not told, nothing is known of children either.
    kib.map_or(u64::MAX, |kib| kib << 10)
}

/// Tells whether the kernel has killed for want of memory, by the count that it keeps per control group.
pub(crate) struct OutOfMemory {
    counter: Option<PathBuf>,
    /// As many kills are accounted for.
    seen: Mutex<u64>,
}

impl OutOfMemory {
    pub(crate) fn new() -> Self {
        let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let counter = counters(&groups).into_iter().find(|file| kills(file).is_some());
        let seen = counter.as_ref().and_then(kills).unwrap_or(0);
        Self { counter, seen: Mutex::new(seen) }
    }

    /// Whether there has been a kill that is not accounted for, which it then is.
    pub(crate) fn has_struck(&self) -> bool {
        let Some(now) = self.counter.as_ref().and_then(kills) else { return false };
        let mut seen = self.seen.lock();
        let news = now > *seen;
        *seen += u64::from(news);
        news
    }
}

/// Where the count may be, the best place first. Sources: cgroups(7), the kernel's documentation of memory
/// control groups (versions 1 and 2), proc_vmstat(5).
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

    #[test]
    fn the_peak_is_that_of_this_process() {
        let before = peak_of_this_process();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = peak_of_this_process();
        assert!(after >= 64 << 20 && after >= before, "{before} {after} {}", block.len());
    }
}
