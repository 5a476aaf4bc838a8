//! Removing what dead owners have left.
//!
//! Most leave nothing; a program that is killed together with all its workers does. What is found is listed first,
//! and only then are the locks asked: a name that was there before its owner let go of the lock is never used
//! again, so that nothing new is swept away. The owner's process must have ended, too, as far as it can be seen from here. (A program that replaces itself, by exec, is the same owner; its names
//! go on from the time of day.)

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::lock::Life;
use super::{FOLDER, Owner, is_of_this_user};

const LOCK: &str = "lock";

/// A file of an owner's.
struct Found {
    owner: Owner,
    is_lock: bool,
    path: PathBuf,
}

impl Owner {
    /// Removes the files of all owners that are dead, as far as they belong to the user of this process.
    pub fn sweep() {
        let mut owners: BTreeMap<Self, Vec<Found>> = BTreeMap::new();
        for found in find() {
            owners.entry(found.owner).or_default().push(found);
        }
        for (owner, files) in owners {
            // A process that lives may be without its lock, if somebody has removed that.
            if !owner.has_ended() {
                continue;
            }
            owner.remove_unlocked(files);
        }
    }

    /// Removes what a program has left that has become another in the same process (exec), unless that has taken it over.
    pub fn remove_what_no_lock_holds(&self) {
        self.remove_unlocked(find().filter(|file| file.owner == *self).collect());
    }

    fn remove_unlocked(&self, files: Vec<Found>) {
        match self.life() {
            Life::Alive => {}
            Life::Dead(_dead) => self.remove_what_is_left(),
            // The lock may be that of a new life of the same owner by now.
            Life::Nothing => remove(files.into_iter().filter(|file| !file.is_lock)),
        }
    }

    /// Removes all that it has left. It must be dead.
    pub fn remove_what_is_left(&self) {
        let (locks, others): (Vec<_>, Vec<_>) =
            find().filter(|file| file.owner == *self).partition(|file| file.is_lock);
        // As long as the lock is there, whoever asks it sees that this is being done.
        remove(others);
        remove(locks);
    }
}

/// The files of all owners, of this user, that are named as a farm names them.
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
