//! Files by which tasks and their test communicate, on every pool.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A gate at which tasks wait: a folder in which tasks leave files as marks, closed until the file
/// `open` appears.
pub(crate) struct Gate(pub(crate) PathBuf);

impl Gate {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("conformance-{}-{n}", std::process::id()));
        fs::create_dir(&folder).expect("a new folder");
        Self(folder)
    }

    pub(crate) fn open(&self) {
        fs::write(self.0.join("open"), "").expect("writes");
    }

    pub(crate) fn marks(&self) -> usize {
        let files = fs::read_dir(&self.0).expect("lists").flatten();
        files.filter(|file| file.file_name() != "open").count()
    }

    pub(crate) fn wait_for_marks(&self, n: usize) {
        while self.marks() < n {
            std::thread::yield_now();
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn leave_mark((gate, mark): (PathBuf, usize)) {
    let _ = fs::write(Path::new(&gate).join(mark.to_string()), "");
}

/// Leaves a mark for this attempt of a task, and returns the number of earlier attempts.
pub(crate) fn attempts_before(gate: PathBuf) -> usize {
    let before = (0..).find(|n| !gate.join(n.to_string()).exists()).unwrap_or_default();
    leave_mark((gate, before));
    before
}
