//! The lock by which others can tell that an owner lives.
//!
//! A process id means nothing in another container, and may be used again. A lock of the file system is seen by
//! everybody who sees the owner's files, and ends with its owner, however that ends.
//!
//! The lock is never to be found open while its owner lives: the file has another name until it is locked, and
//! loses its name before it is unlocked. So who finds a lock open, under its name, knows that the owner is dead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{FOLDER, Owner};

/// Says that an owner lives, until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    owner: Owner,
    _file: File,
}

/// What is known of an owner by its lock.
pub(super) enum Life {
    Alive,
    /// It is dead; whoever knows this holds the lock of the dead until all is removed.
    Dead(#[allow(dead_code, reason = "it is held")] File),
    /// It had no files at the moment of asking.
    Nothing,
}

impl Owner {
    /// Says that this owner lives. It must be so that this is done before the first of its files is made, and
    /// the lock dropped after the last is removed.
    ///
    /// # Errors
    ///
    /// What the file system says; also if another process, in another container, is named as this one is.
    pub fn lock(&self) -> io::Result<Lock> {
        let (new, path) = (PathBuf::from(format!("{FOLDER}/{self}-new")), self.lock_path());
        loop {
            let file = match create(&new) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    // A program that has replaced itself (by exec) has left it.
                    fs::remove_file(&new)?;
                    continue;
                }
                file => file?,
            };
            file.try_lock()?;
            let linked = fs::hard_link(&new, &path);
            let _ = fs::remove_file(&new);
            match linked {
                Ok(()) => return Ok(Lock { owner: *self, _file: file }),
                // Somebody has swept it away before it had its name.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let Life::Dead(_) = self.life() else { return Err(error) };
                    self.remove_what_is_left();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks the lock.
    pub(super) fn life(&self) -> Life {
        let path = self.lock_path();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Life::Nothing,
            Err(_) => return Life::Alive,
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => Life::Dead(file),
            Ok(()) | Err(TryLockError::WouldBlock | TryLockError::Error(_)) => Life::Alive,
        }
    }

    fn lock_path(&self) -> PathBuf {
        PathBuf::from(format!("{FOLDER}/{self}-lock"))
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
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
        // A forked child has the lock too, and it is not its own.
        if self.owner.pid == std::process::id() {
            let _ = fs::remove_file(self.owner.lock_path());
        }
    }
}
