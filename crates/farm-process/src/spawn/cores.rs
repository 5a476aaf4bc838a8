//! Chooses the core of each worker, for pools that keep their workers apart.
//!
//! The system may wake two workers on one core, where they take turns while another core is idle,
//! and it may take milliseconds until the system balances them. So each worker is put on the core
//! that the fewest other workers are on.

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Puts a process on one of the cores that this thread may use, apart from the processes `others`
/// as far as there are cores.
pub(crate) fn set_apart(pid: u32, others: impl Iterator<Item = u32>) -> rustix::io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let taken: Vec<CpuSet> = others
        .filter_map(|other| sched_getaffinity(process(other)).ok())
        .filter(|cores| cores.count() == 1)
        .collect();
    let cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let used = |core: &usize| taken.iter().filter(|cores| cores.is_set(*core)).count();
    let Some(core) = cores.min_by_key(used) else { return Ok(()) };
    let mut one = CpuSet::new();
    one.set(core);
    sched_setaffinity(process(pid), &one)
}

fn process(pid: u32) -> Option<Pid> {
    Pid::from_raw(pid as i32)
}
