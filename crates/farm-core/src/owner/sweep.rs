//! Removing what dead owners have left.
//!
//! Most leave nothing; a program that is killed together with all its workers does. What is found is listed first,
//! and only then are the locks asked: a name that was there before its owner let go of the lock is never used
//! again, so that nothing new is swept away.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::lock::Life;
use super::{FOLDER, Owner};

impl Owner {
    /// Removes the files of all owners that are dead, as far as they belong to the user of this process.
    pub fn sweep() {
        let user = rustix::process::geteuid().as_raw();
        let mut found: BTreeMap<Self, Vec<PathBuf>> = BTreeMap::new();
        for file in Path::new(FOLDER).read_dir().into_iter().flatten().flatten() {
            let name = file.file_name();
            let Some((owner, what)) = name.to_str().and_then(Self::of_file) else { continue };
            let is_ours = file.metadata().is_ok_and(|meta| meta.is_file() && meta.uid() == user);
            if is_ours {
                let files = found.entry(owner).or_default();
                // It may be that of a new life of the same owner by now.
                if what != "lock" {
                    files.push(file.path());
                }
            }
        }
        for (owner, files) in found {
            match owner.life() {
                Life::Alive => {}
                Life::Dead(_lock) => owner.remove_what_is_left(),
                Life::Nothing => {
                    for file in files {
                        let _ = fs::remove_file(file);
                    }
                }
            }
        }
    }

    /// Takes the name of a file apart: whose it is, and what.
    fn of_file(name: &str) -> Option<(Self, &str)> {
        let (owner, what) = name.rsplit_once('-')?;
        let is_known = what == "lock" || what == "new" || what.parse::<u64>().is_ok();
        Some((owner.parse().ok()?, what)).filter(|_| is_known)
    }
}
