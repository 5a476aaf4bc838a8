//! How much room there is in shared memory.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The directory in which Linux shows shared memory segments. Source: shm_overview(7).
pub(crate) const FOLDER: &str = "/dev/shm";

const NO_MEMORY: &str = "; that is all memory that the machine has free";
const NO_MEMORY_IN_GROUP: &str =
    "; that is all memory that the control group has free: raise its limit (docker's --memory)";

/// Returns how many bytes a new segment may have, and how to get more where that is known.
///
/// The file system for shared memory is often as large as all memory, or half of it. So the free
/// space that it reports does not prove that there is as much free memory.
pub(crate) fn available() -> (u64, &'static str) {
    let free = match rustix::fs::statvfs(FOLDER) {
        // A file system of 0 blocks has no limit, as with the mount option `size=0`.
        Ok(fs) if fs.f_blocks > 0 => fs.f_bavail.saturating_mul(fs.f_frsize),
        _ => u64::MAX,
    };
    let limits = [
        (Some(free), hint()),
        (free_memory(), NO_MEMORY),
        (free_in_group(Path::new("/")), NO_MEMORY_IN_GROUP),
    ];
    let known = limits.into_iter().filter_map(|(free, hint)| Some((free?, hint)));
    known.min_by_key(|(free, _)| *free).unwrap_or((free, ""))
}

/// Returns `MemAvailable` of `/proc/meminfo`, in bytes. Source: proc_meminfo(5).
fn free_memory() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Returns how many bytes the control group of this process may still use, if it has a limit.
/// Memory that holds cached files counts as free. Sources: cgroups(7), and the kernel's
/// documentation of memory control groups, versions 1 and 2.
fn free_in_group(root: &Path) -> Option<u64> {
    let groups = read_to_string(root.join("proc/self/cgroup")).ok()?;
    let controller = |(tag, folder, limit, usage, cached): (&str, _, _, _, [&str; 2])| {
        let (_, path) = groups.lines().find_map(|line| line.split_once(tag))?;
        // In a container, the directory of the group itself is often mounted as the root.
        let folders = [path.trim_start_matches('/'), ""].map(|path| root.join(folder).join(path));
        let group = folders.into_iter().find(|group: &PathBuf| group.join(limit).exists())?;
        let number = |file: &str| read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
        let stat = read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = stat.lines().filter_map(|line| {
            let (name, value) = line.split_once(' ')?;
            cached.contains(&name).then(|| value.parse::<u64>().ok())?
        });
        // Without a limit, the file contains a word (version 2), or a number that is larger than
        // all memory (version 1).
        Some((number(limit)? + cached.sum::<u64>()).saturating_sub(number(usage)?))
    };
    let first = (
        ":memory:",
        "sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ["total_inactive_file", "total_active_file"],
    );
    let second =
        ("0::", "sys/fs/cgroup", "memory.max", "memory.current", ["inactive_file", "active_file"]);
    controller(first).or_else(|| controller(second))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_control_group_leaves_is_read_in_both_versions() {
        let root = std::env::temp_dir().join(format!("groups-{}", std::process::id()));
        let put = |file: &str, text: &str| {
            let file = root.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        assert_eq!(free_in_group(&root), None);
        put("proc/self/cgroup", "4:memory:/jobs/7\n0::/\n");
        assert_eq!(free_in_group(&root), None);
        put("sys/fs/cgroup/memory.max", "max\n");
        put("sys/fs/cgroup/memory.current", "300\n");
        assert_eq!(free_in_group(&root), None, "no limit");
        put("sys/fs/cgroup/memory.max", "1000\n");
        put("sys/fs/cgroup/memory.stat", "anon 200\ninactive_file 40\nactive_file 5\n");
        assert_eq!(free_in_group(&root), Some(745));
        put("sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "2000\n");
        put("sys/fs/cgroup/memory/jobs/7/memory.usage_in_bytes", "2500\n");
        put("sys/fs/cgroup/memory/jobs/7/memory.stat", "cache 900\ntotal_inactive_file 600\n");
        assert_eq!(free_in_group(&root), Some(100));
        std::fs::remove_dir_all(root).unwrap();
    }
}
