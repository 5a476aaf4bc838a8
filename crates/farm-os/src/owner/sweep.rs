//! Removal of the files of dead owners.
//!
//! Most programs leave no files; a program that is killed together with all its workers does. An
//! owner counts as dead when its process has ended, as far as this process can tell, and when
//! nothing holds its lock.
//!
//! The files are listed before the locks are tried. An owner never uses a name twice, so a file
//! that was listed before its owner released the lock is not a file that the owner makes later.
//! This matters for a program that replaces itself by exec: it is the same owner, and its names go
//! on from the time of day.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::lock::Life;
use super::{FOLDER, Owner, is_of_this_user};

const LOCK: &str = "lock";

/// A file that an owner has made.
struct Found {
    owner: Owner,
    is_lock: bool,
    path: PathBuf,
}

impl Owner {
    /// Removes the files of all dead owners that belong to the user of this process.
    pub fn sweep() {
        let mut owners: BTreeMap<Self, Vec<Found>> = BTreeMap::new();
        for found in find() {
            owners.entry(found.owner).or_default().push(found);
        }
        for (owner, files) in owners {
            // A process that lives has no lock file if another process has removed it.
            if !owner.has_ended() {
                continue;
            }
            owner.remove_unlocked(files);
        }
    }

    /// Removes the files of an owner whose process now runs another program (exec), unless that
    /// program has taken the lock of the owner.
    pub fn remove_what_no_lock_holds(&self) {
        self.remove_unlocked(find().filter(|file| file.owner == *self).collect());
    }

    fn remove_unlocked(&self, files: Vec<Found>) {
        match self.life() {
            Life::Alive => {}
            Life::Dead(_dead) => self.remove_what_is_left(),
            // A lock that exists by now was made later, by a new program in the same process.
            Life::Nothing => remove(files.into_iter().filter(|file| !file.is_lock)),
        }
    }

    /// Removes all files of this owner, which must be dead.
    pub fn remove_what_is_left(&self) {
        let (locks, others): (Vec<_>, Vec<_>) =
            find().filter(|file| file.owner == *self).partition(|file| file.is_lock);
        // The lock is removed last. While it exists, [`Owner::lock`] does not succeed, so a new
        // program in the same process makes no files.
        remove(others);
        remove(locks);
    }
}

/// Returns the files of this user whose names have the form of those that [`Owner`]s use.
fn find() -> impl Iterator<Item = Found> {
    let files = Path::new(FOLDER).read_dir().into_iter().flatten().flatten();
    files.filter_map(|file| {
        let name = file.file_name();
        let (owner, what) = name.to_str()?.rsplit_once('-')?;
        let is_lock = what == LOCK;
        let is_known = is_lock || what == "new" || what.bytes().all(|byte| byte.is_ascii_digit());
        let owner = owner.parse().ok().filter(|_| is_known && !what.is_empty())?;
        let is_ours = file.metadata().is_ok_and(|found| is_of_this_user(&found));
        is_ours.then(|| Found { owner, is_lock, path: file.path() })
    })
}

fn remove(files: impl IntoIterator<Item = Found>) {
    for file in files {
        let _ = fs::remove_file(file.path);
    }
}
