//! How much room there is in shared memory.

use std::path::Path;

/// The folder where Linux shows shared memory segments. Source: shm_overview(7).
pub(crate) const FOLDER: &str = "/dev/shm";

/// How many bytes a new segment may have, and how to get more where that is known.
///
/// A file system for shared memory is commonly as large as all memory or half of it, so its own count of
/// free space does not say that the memory is there.
pub(crate) fn available() -> (u64, &'static str) {
    let free =
        rustix::fs::statvfs(FOLDER).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    match free_memory() {
        Some(memory) if memory < free => (memory, "; that is all memory that the machine has free"),
        _ => (free, hint()),
    }
}

/// `MemAvailable` of `/proc/meminfo`, in bytes. Source: proc_meminfo(5).
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn hint() -> &'static str {
    if in_container() {
        "; this is a container: start it with a larger --shm-size"
    } else {
        "; `mount -o remount,size=SIZE /dev/shm` enlarges it where memory allows"
    }
}

fn in_container() -> bool {
    Path::new("/.dockerenv").exists()
        || Path::new("/run/.containerenv").exists()
        || std::env::var_os("container").is_some()
        || std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}
