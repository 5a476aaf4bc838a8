//! The remains of a program in the system: processes, and segments of shared memory.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::running::LIMIT;

/// The folder in which Linux shows shared memory. Source: shm_overview(7).
const SHARED_MEMORY: &str = "/dev/shm";

/// The processes whose working folder is `folder`. Zombies have none.
pub(crate) fn processes_in(folder: &Path) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc can be read").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // A process may end while it is inspected.
    pids.filter(|pid| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder))
        .collect()
}

/// The segments that the process created.
pub(crate) fn segments_of(pid: u32) -> Vec<String> {
    let start = format!("farm-{pid}-");
    let entries = fs::read_dir(SHARED_MEMORY).expect("shared memory can be listed").flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&start)).collect()
}

/// Removes the segments of a process that could not do it itself.
pub(crate) fn remove_segments_of(pid: u32) {
    for name in segments_of(pid) {
        // The process that created the segment may have removed it already.
        let _ = fs::remove_file(Path::new(SHARED_MEMORY).join(name));
    }
}

/// A file that becomes readable when the process ends; `None` if it has been reaped.
pub(crate) fn end_of(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

/// Waits until the process behind `pidfd` ends; false if it has not within the limit.
pub(crate) fn wait(pidfd: &OwnedFd) -> bool {
    ends_within(pidfd, LIMIT)
}

/// Waits until the process behind `pidfd` ends; false if it has not within `time`.
pub(crate) fn ends_within(pidfd: &OwnedFd, time: Duration) -> bool {
    let limit =
        Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    loop {
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("cannot wait for a process: {error}"),
        }
    }
}

/// Waits until no process has `folder` as its working folder.
pub(crate) fn wait_until_empty(folder: &Path) {
    loop {
        let left = processes_in(folder);
        if left.is_empty() {
            return;
        }
        for pid in left {
            assert!(end_of(pid).is_none_or(|end| wait(&end)), "process {pid} is left");
        }
    }
}
