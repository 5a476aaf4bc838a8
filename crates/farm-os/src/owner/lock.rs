//! The lock by which others can tell that an owner lives.
//!
//! A process id means nothing in another container, and may be used again. A lock of the file system is seen by
//! everybody who sees the owner's files, and ends with its owner, however that ends.
//!
//! It is held by a mapping and not by a descriptor, which a program may close by mistake. A mapping ends with its process,
//! or where that replaces itself (exec), and a fork does not have it.
//!
//! The lock is never to be found open while its owner lives: the file has another name until it is locked, and
//! loses its name before it is unlocked. So who finds a lock open, under its name, knows that the owner is dead.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memmap2::{Advice, MmapOptions, MmapRaw};

use super::{FOLDER, Owner, is_of_this_user};

/// How often a lock is tried that somebody else has, who may be sweeping it, and the pause between.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Says that an owner lives, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    owner: Owner,
    held: Option<MmapRaw>,
}

/// What is known of an owner by its lock.
pub(super) enum Life {
    Alive,
    /// It is dead; whoever knows this holds the lock of the dead until all is removed.
    Dead(#[allow(dead_code, reason = "it is held")] File),
    /// There was no lock at the moment of asking.
    Nothing,
}

impl Owner {
    /// Says that this owner lives. It must be so that this is done before the first of its files is made, and
    /// the lock dropped after the last is removed.
    ///
    /// # Errors
    ///
    /// What the file system says; also if another process, in another container, is named as this one is, or
    /// somebody has put something else in the place of the lock.
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
            // A program that has replaced itself (by exec) has left it, and somebody may just be sweeping it.
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
        // Nothing is at that address, nor asked for: what counts is that the open file is held.
        let held = MmapOptions::new().len(1).map_raw_read_only(&file)?;
        held.advise(Advice::DontFork)?;
        held.advise(Advice::DontDump)?;
        let linked = fs::hard_link(new, path);
        let _ = fs::remove_file(new);
        linked.map(|()| held)
    }

    /// Asks the lock.
    pub(super) fn life(&self) -> Life {
        let path = self.lock_path();
        // Neither to follow nor to wait for what somebody may have put there.
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
    /// Whose it is.
    pub fn owner(&self) -> Owner {
        self.owner
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.owner.pid == std::process::id() {
            let _ = fs::remove_file(self.owner.lock_path());
        } else {
            // A forked child has neither the lock nor the mapping, at whose address may be something else by now.
            std::mem::forget(self.held.take());
        }
    }
}
