//! The memory of processes: limits on it, its address space, and its peak.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Limits the memory that this process may allocate for itself.
///
/// The limit counts data (private memory that can be written to), not address space: shared arrays
/// do not count. Source: getrlimit(2), `RLIMIT_DATA`.
pub(crate) fn limit_this_process(bytes: u64) -> std::io::Result<()> {
    let former = getrlimit(Resource::Data);
    let current = former.maximum.map_or(bytes, |most| bytes.min(most));
    Ok(setrlimit(Resource::Data, Rlimit { current: Some(current), ..former })?)
}

/// The size in bytes of the address space of a process without a limit.
const ALL_ADDRESSES: u64 = 128 << 40;

/// The bytes of address space that the threads of a pool need, and those that each worker adds.
const POOL: u64 = 32 << 20;
const WORKER: u64 = 3 << 20;

/// The bytes of address space that glibc reserves for each arena from which it allocates.
#[cfg(target_env = "gnu")]
const ARENA: u64 = 64 << 20;

/// How many bytes of address space are left to this process. Source: getrlimit(2), `RLIMIT_AS`.
pub(crate) fn addresses_left() -> u64 {
    let Some(limit) = getrlimit(Resource::As).current else { return ALL_ADDRESSES };
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0_u64);
    let used = pages.saturating_mul(rustix::param::page_size() as u64);
    limit.saturating_sub(used).min(ALL_ADDRESSES)
}

/// Returns an error if too little address space is left for a pool of so many workers.
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

/// Keeps glibc from reserving most of a limited address space for the threads of a pool: its arenas
/// may take a quarter of the limit, unless the user has configured the allocator.
pub(crate) fn limit_malloc_arenas() {
    #[cfg(target_env = "gnu")]
    if let Some(limit) = getrlimit(Resource::As).current
        && std::env::var_os("MALLOC_ARENA_MAX").is_none()
        && std::env::var_os("GLIBC_TUNABLES").is_none()
    {
        let most = (limit / 4 / ARENA).max(1);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if most < 8 * cores as u64 {
            // SAFETY: the call sets a number of the allocator, under the allocator's own lock.
            unsafe { libc::mallopt(libc::M_ARENA_MAX, most as libc::c_int) };
        }
    }
}

/// The most memory that this process has had resident so far, in bytes.
///
/// A child inherits this value from its parent as the start of its own peak, in the number that the
/// kernel reports after its death. Only a larger number is known to be the child's own.
pub(crate) fn peak_of_this_process() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    // If /proc does not tell the peak, then no peak of a child is known to be its own.
    kib.map_or(u64::MAX, |kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_that_of_this_process() {
        let before = peak_of_this_process();
        let block = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = peak_of_this_process();
        assert!(after >= 64 << 20 && after >= before, "{before} {after} {}", block.len());
    }
}
