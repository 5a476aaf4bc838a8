//! The lock by which other processes can tell that an owner lives.
//!
//! A process id has no meaning in another container, and may be used again. A lock of the file
//! system can be seen by every process that can see the files of the owner. The kernel releases it
//! when the owner ends, however it ends.
//!
//! The lock is held by a mapping of the lock file, not by a descriptor, which a program may close
//! by mistake. The mapping ends when its process ends or replaces its program (exec), and a forked
//! process does not inherit it.
//!
//! While the owner lives, no other process can find the lock file unlocked under its name: the file
//! has another name until it is locked, and its name is removed before it is unlocked. So a process
//! that can lock the file under its name knows that the owner is dead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::{FOLDER, Owner, is_of_this_user};

/// How often an owner tries to lock a file that another process has locked, perhaps to sweep it,
/// and the pause between two attempts.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Shows other processes that an owner lives, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    owner: Owner,
    held: Option<MmapRaw>,
}

/// What the lock tells about its owner.
pub(super) enum Life {
    Alive,
    /// The owner is dead. The lock file is held locked until the files of the owner are removed.
    Dead(#[allow(dead_code, reason = "it is held")] File),
    /// There was no lock file at that moment.
    Nothing,
}

impl Owner {
    /// Takes the lock of this owner, whose process must be this one. The lock must be taken before
    /// the owner makes its first file, and dropped after its last file was removed.
    ///
    /// # Errors
    ///
    /// An error of the file system. This includes the case that a process in another container has
    /// the same name as this one, and the case that something else than a lock file is in its
    /// place.
    pub fn lock(&self) -> io::Result<Lock> {
        let (new, path) = (PathBuf::from(format!("{FOLDER}/{self}-new")), self.lock_path());
        let mut attempts = 0;
        loop {
            let error = match self.try_lock(&new, &path) {
                Ok(held) => return Ok(Lock { owner: *self, held: Some(held) }),
                Err(error) => error,
            };
            attempts += 1;
            let may_pass = matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound);
            if !may_pass || attempts == ATTEMPTS {
                return Err(error);
            }
            // This process may have left the lock file before it replaced its program (exec), and
            // another process may be sweeping it.
            if let Life::Dead(_dead) = self.life() {
                self.remove_what_is_left();
            } else {
                std::thread::sleep(PAUSE);
            }
        }
    }

    fn try_lock(&self, new: &Path, path: &Path) -> io::Result<MmapRaw> {
        if let Err(error) = fs::remove_file(new)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(new)?;
        file.try_lock()?;
        // The file is empty, and nothing reads the mapping. It only keeps the open file, and with
        // it the lock, until it is unmapped.
        let held = MmapOptions::new().len(1).map_raw_read_only(&file)?;
        held.advise(Advice::DontFork)?;
        held.advise(Advice::DontDump)?;
        let linked = fs::hard_link(new, path);
        let _ = fs::remove_file(new);
        linked.map(|()| held)
    }

    /// Tries the lock, and returns what that tells about the owner.
    pub(super) fn life(&self) -> Life {
        let path = self.lock_path();
        // Another program may have put a link or a FIFO there: do not follow the one or wait for
        // the other.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Life::Nothing,
            Err(_) => return Life::Alive,
        };
        let is_ours = file.metadata().is_ok_and(|found| is_of_this_user(&found));
        match is_ours.then(|| file.try_lock()) {
            Some(Ok(())) if is_at(&file, &path) => Life::Dead(file),
            _ => Life::Alive,
        }
    }

    fn lock_path(&self) -> PathBuf {
        PathBuf::from(format!("{FOLDER}/{self}-lock"))
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::symlink_metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

impl Lock {
    /// Returns the owner of this lock.
    pub fn owner(&self) -> Owner {
        self.owner
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.owner.pid == std::process::id() {
            let _ = fs::remove_file(self.owner.lock_path());
        } else {
            // A forked child has neither the lock nor the mapping. By now, something else may be
            // mapped at its address.
            std::mem::forget(self.held.take());
        }
    }
}
