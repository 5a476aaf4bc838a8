//! The owners of files in the file system of shared memory, and the names of these files.
//!
//! The name of a file begins with the [`Owner`] that has made it, so that other processes can
//! remove the file when its owner is dead. The worker processes of a master that was killed do so,
//! or else the next pool of the same user.
//!
//! - `farm-<pid>-<start time>-<n>` is a file that the process owns.
//! - `farm-<pid>-<start time>-lock` is its [`Lock`].

mod lock;
mod sweep;

pub use lock::Lock;

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// The directory in which Linux shows shared memory that has a name.
const FOLDER: &str = "/dev/shm";

/// A process that owns files, as `farm-<pid>-<start time>`. If the process id is used again, the
/// start time tells the new process from the former owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
/// In clock ticks since the system was started; 0 if /proc does not tell.
pub struct Owner {
    pid: u32,
    started: u64,
}

impl Owner {
    /// Returns the process that has this id now; `None` if there is none, or if /proc does not
    /// tell.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Source: proc_pid_stat(5), field 22. The second field is the name of the program, in
        // parentheses. It may contain any characters, so it ends at the last `)`.
        let fields = stat.rsplit(')').next()?;
        let started = fields.split_whitespace().nth(19)?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// Returns this process.
    pub fn this() -> Self {
        let pid = std::process::id();
        Self::of(pid).unwrap_or(Self { pid, started: 0 })
    }

    /// Returns the id of the process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns whether the process is known to have ended with all its threads, whether it was
    /// reaped or not. Returns `false` if this cannot be found out, for example because there is no
    /// free descriptor.
    pub fn has_ended(&self) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return true };
        let opened = pidfd_open(pid, PidfdFlags::empty());
        if matches!(opened, Err(Errno::SRCH)) || Self::of(self.pid).is_some_and(|now| now != *self)
        {
            return true;
        }
        let Ok(pidfd) = opened else { return false };
        let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
        // For a process that has ended, poll reports this event and no other.
        matches!(poll(&mut fds, Some(&Timespec::default())), Ok(1))
            && fds[0].revents() == PollFlags::IN
    }
}

/// Returns whether this is a regular file that belongs to the user of this process.
fn is_of_this_user(found: &Metadata) -> bool {
    found.is_file() && found.uid() == rustix::process::geteuid().as_raw()
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "farm-{}-{}", self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = ();

    /// Parses the text that `Display` writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (pid, started) =
            text.strip_prefix("farm-").and_then(|rest| rest.split_once('-')).ok_or(())?;
        Ok(Self { pid: pid.parse().map_err(drop)?, started: started.parse().map_err(drop)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::{exists, write};

    /// Returns an owner that has never existed, and names for some files of it.
    fn owner(started: u64, files: usize) -> (Owner, Vec<String>) {
        let owner = Owner { pid: std::process::id(), started };
        (owner, (0..files).map(|n| format!("{FOLDER}/{owner}-{n}")).collect())
    }

    fn are_there(files: &[String]) -> bool {
        files.iter().all(|file| exists(file).unwrap())
    }

    /// Sweeps until the files are gone, since another process may be sweeping them too.
    fn sweep_away(files: &[String]) {
        for _ in 0..1000 {
            Owner::sweep();
            if !files.iter().any(|file| exists(file).unwrap()) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("they are still there: {files:?}");
    }

    #[test]
    fn what_is_left_is_removed_and_nothing_else() {
        let ((one, left), (other, others)) = (owner(1, 1), owner(12, 1));
        let _alive = [&one, &other].map(|owner| owner.lock().unwrap());
        let notes = format!("{FOLDER}/{one}-notes");
        [&left[0], &others[0], &notes].into_iter().for_each(|file| write(file, "").unwrap());
        one.remove_what_is_left();
        assert_eq!([&left, &others].map(|files| are_there(files)), [false, true]);
        other.remove_what_is_left();
        assert!(!are_there(&others) && exists(&notes).unwrap());
        std::fs::remove_file(notes).unwrap();
    }

    #[test]
    fn what_no_lock_holds_is_swept() {
        let (owner, files) = owner(2, 3);
        let lock = owner.lock().unwrap();
        files.iter().for_each(|file| write(file, "").unwrap());
        Owner::sweep();
        assert!(are_there(&files), "their owner lives");
        drop(lock);
        sweep_away(&files);

        // A killed process leaves a lock file that no process has locked.
        let lock = format!("{FOLDER}/{owner}-lock");
        let all: Vec<_> = files.into_iter().chain([lock]).collect();
        all.iter().for_each(|file| write(file, "").unwrap());
        sweep_away(&all);
    }

    #[test]
    fn a_process_with_the_name_of_another_that_lives_is_refused() {
        let (owner, _) = owner(3, 0);
        let lock = owner.lock().unwrap();
        assert!(owner.lock().is_err());
        drop(lock);
        owner.lock().unwrap();
    }

    #[test]
    fn who_has_replaced_itself_takes_over_its_own_lock() {
        let (owner, files) = owner(5, 1);
        let lock = format!("{FOLDER}/{owner}-lock");
        [&files[0], &lock].into_iter().for_each(|file| write(file, "").unwrap());
        let lock = owner.lock().unwrap();
        assert!(!are_there(&files));
        drop(lock);
    }

    #[test]
    fn what_somebody_puts_in_the_place_of_a_lock_stops_nobody() {
        let (owner, files) = owner(6, 1);
        let lock = format!("{FOLDER}/{owner}-lock");
        let fifo = || rustix::fs::mkfifoat(rustix::fs::CWD, &*lock, 0o600.into()).unwrap();
        let folder = || std::fs::create_dir(&lock).unwrap();
        for plant in [&fifo as &dyn Fn(), &folder] {
            plant();
            let refused = owner.lock().is_err();
            write(&files[0], "").unwrap();
            Owner::sweep();
            let is_kept = are_there(&files);
            let _ = std::fs::remove_file(&lock);
            let _ = std::fs::remove_dir(&lock);
            assert!(refused && is_kept, "it is not known to be dead");
            sweep_away(&files);
        }
    }

    #[test]
    fn only_files_of_this_user_that_are_named_like_ours_are_swept() {
        let (owner, files) = owner(4, 1);
        let kept = [
            format!("{FOLDER}/{owner}"),
            format!("{FOLDER}/{owner}-x"),
            format!("{FOLDER}/{owner}-+1"),
            format!("{FOLDER}/{owner}--1"),
            format!("{FOLDER}/x{owner}-0"),
            format!("{FOLDER}/farm-1-{}", std::process::id()),
        ];
        kept.iter().chain(&files).for_each(|file| write(file, "").unwrap());
        let folder = format!("{FOLDER}/{owner}-7");
        std::fs::create_dir(&folder).unwrap();
        sweep_away(&files);
        let is_kept = are_there(&kept) && exists(&folder).unwrap();
        kept.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        std::fs::remove_dir(&folder).unwrap();
        assert!(is_kept);
        if rustix::process::geteuid().is_root() {
            let file = format!("{FOLDER}/x{owner}-8");
            write(&file, "").unwrap();
            std::os::unix::fs::chown(&file, Some(12345), None).unwrap();
            std::fs::rename(file, &files[0]).unwrap();
            Owner::sweep();
            owner.remove_what_is_left();
            assert!(are_there(&files), "another user's");
            std::fs::remove_file(&files[0]).unwrap();
        }
    }

    #[test]
    fn the_lock_of_a_program_that_closes_descriptors_stays() {
        let (owner, files) = owner(7, 1);
        let before = descriptors();
        let lock = owner.lock().unwrap();
        assert_eq!(descriptors(), before, "there is none that could be closed");
        write(&files[0], "").unwrap();
        Owner::sweep();
        let is_refused = owner.lock().is_err();
        assert!(are_there(&files) && is_refused);
        drop(lock);
        sweep_away(&files);
    }

    /// Returns the number of descriptors that refer to the lock.
    fn descriptors() -> usize {
        let links = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links = links.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        links.filter(|link| link.to_string_lossy().contains("-7-lock")).count()
    }

    #[test]
    fn what_a_living_process_has_left_unlocked_is_not_swept() {
        let owner = Owner::this();
        let files = [format!("{FOLDER}/{owner}-8"), format!("{FOLDER}/{owner}-lock")];
        for file in &files {
            write(file, "").unwrap();
            Owner::sweep();
            let is_kept = exists(file).unwrap();
            std::fs::remove_file(file).unwrap();
            assert!(is_kept, "{file}");
        }
    }

    #[test]
    fn a_process_has_ended_when_the_last_of_its_threads_has() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let owner = Owner::of(child.id()).unwrap();
        assert!(!owner.has_ended());
        child.kill().unwrap();
        while !owner.has_ended() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(owner.has_ended());
    }

    #[test]
    fn a_process_is_told_from_a_later_one_of_the_same_id() {
        assert_eq!(Owner::of(std::process::id()), Some(Owner::this()));
        assert_ne!(Owner::this().started, 0);
        assert!(!Owner::this().has_ended() && Owner { started: 1, ..Owner::this() }.has_ended());
        assert_eq!(Owner::of(u32::MAX), None);
        assert_eq!(Owner::this().to_string().parse(), Ok(Owner::this()));
    }
}
