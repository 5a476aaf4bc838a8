//! A worker ends with its master, however the master ends.
//!
//! A thread waits for the master's death by its pidfd. `PR_SET_PDEATHSIG` would follow the thread that
//! started the worker, not the process; a broken socket is noticed only between tasks.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, kill_current_process_group, pidfd_open};

/// Ends this process, and what it has started, as soon as `master` ends.
pub(crate) fn tie_to(master: u32) -> std::io::Result<()> {
    let pid = i32::try_from(master).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("the master has no process id"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    // The id names the master and no later process, since the master is still the parent.
    if getppid() != Some(pid) {
        end();
    }
    std::thread::Builder::new().name("farm-lifeline".to_owned()).stack_size(64 * 1024).spawn(
        move || {
            let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
            while poll(&mut fds, None).is_err() {}
            end();
        },
    )?;
    Ok(())
}

/// The worker leads a process group of its own, so this takes its children with it.
fn end() {
    let _ = kill_current_process_group(Signal::KILL);
}
