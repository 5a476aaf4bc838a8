//! Output files, written whole or not at all.
//!
//! A file is written under another name in the same directory, flushed to the disk, and then
//! renamed: at any moment there is the old file or the new one, never half of one. It gets the
//! permissions that any new file gets from the user's umask.
//!
//! A list that a mutex guards has every unfinished file, and a file is created, renamed and removed
//! only under that mutex. The thread that ends the program takes the mutex first, removes the files
//! on the list and keeps the mutex to the end. So Ctrl-C leaves no file behind, and does not wait
//! until a large file is written, because the writing itself needs no lock.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::{ArrayView, Dimension};
use ndarray_npy::{WriteNpyError, WriteNpyExt};

use crate::destination::{Destination, locate};
use crate::exit::Failure;
use crate::image::Image;

/// Files that exist under a temporary name and are to be renamed or removed.
static UNFINISHED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The right to create, rename and remove output files, and to end the program.
///
/// While a thread holds it, no file appears or disappears, and no signal ends the program.
#[derive(Debug)]
pub struct Critical(MutexGuard<'static, Vec<PathBuf>>);

/// Waits for the right to create or rename output files; see [`Critical`].
///
/// The thread that holds it must not write a file or end the program: it would deadlock.
pub fn critical() -> Critical {
    Critical(UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Critical {
    /// Removes the files that other threads are writing; those threads never get to rename them.
    pub(crate) fn remove_unfinished(&mut self) {
        for path in self.0.drain(..) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Writes an array as a NumPy file (`.npy`, little-endian on the usual machines).
///
/// # Errors
/// [`Failure::Run`] with the path and the cause; an existing file of that name is unchanged.
pub fn write_npy<D: Dimension>(path: &Path, array: ArrayView<'_, f64, D>) -> Result<(), Failure> {
    write_whole(path, |target| {
        array.write_npy(target).map_err(|error| match error {
            WriteNpyError::Io(error) => error,
            other => io::Error::other(other),
        })
    })
}

/// Writes a picture as a PNG file.
///
/// # Errors
/// As [`write_npy`].
pub fn write_png(path: &Path, image: &Image) -> Result<(), Failure> {
    write_whole(path, |target| image.write_png(target))
}

/// Writes a text file.
///
/// # Errors
/// As [`write_npy`].
pub fn write_text(path: &Path, text: &str) -> Result<(), Failure> {
    write_whole(path, |target| target.write_all(text.as_bytes()))
}

/// Creates a file from the output of `write`, whole or not at all. A pipe or device is written
/// directly.
///
/// # Errors
/// As [`write_npy`], and the error that `write` returned.
pub fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let refuse = |reason: &str| Failure::run(format!("{}: {reason}", path.display()));
    let written = match locate(path).map_err(|reason| refuse(&reason))? {
        Destination::Straight(target) => write_straight(&target, write),
        Destination::File { directory, file } => replace(&directory, &file, write),
    };
    written.map_err(|error| refuse(&format!("cannot be written: {error}")))
}

fn replace(
    directory: &Path,
    file: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let unfinished = {
        let mut critical = critical();
        let made = tempfile::Builder::new()
            .prefix(".unfinished-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(plain)?;
        critical.0.push(made.path().to_path_buf());
        made
    };
    let listed = unfinished.path().to_path_buf();
    let filled = fill(unfinished.as_file(), write);
    let mut critical = critical();
    critical.0.retain(|path| *path != listed);
    filled.and_then(|()| unfinished.persist(file).map(drop).map_err(|refused| refused.error))
}

/// Writes and flushes everything to the disk: a later error would come after the rename.
fn fill(file: &File, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::new(file);
    write(&mut buffered)?;
    buffered.flush()?;
    file.sync_all()
}

/// Writes by appending, so that `/dev/stdout` continues at the end of a file that the shell has
/// opened with `>>`.
fn write_straight(
    target: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = BufWriter::new(OpenOptions::new().append(true).open(target)?);
    write(&mut buffered)?;
    buffered.flush()
}

/// The system's error without the name of the unfinished file, which means nothing to a user.
fn plain(error: io::Error) -> io::Error {
    let text = error.to_string();
    let cause = text.split(" at path ").next().unwrap_or(&text);
    io::Error::new(error.kind(), cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array3, s};
    use ndarray_npy::ReadNpyExt;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn arrays_of_any_layout_are_read_back_equal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let cube = Array3::from_shape_fn((3, 4, 5), |(i, j, k)| (i * 100 + j * 10 + k) as f64);
        for view in [cube.view(), cube.view().reversed_axes(), cube.slice(s![.., 1..;2, ..])] {
            write_npy(&path, view).unwrap();
            let back = Array3::<f64>::read_npy(File::open(&path).unwrap()).unwrap();
            assert_eq!(back, view);
        }
        assert_eq!(names(folder.path()), ["a.npy"]);
    }

    #[test]
    fn a_new_file_has_the_rights_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, usual) = (folder.path().join("ours"), folder.path().join("usual"));
        write_text(&ours, "x").unwrap();
        fs::write(&usual, "x").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&usual));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plate.txt");
        write_text(&path, "old").unwrap();
        let failed = write_whole(&path, |target| {
            target.write_all(&[b'x'; 100_000])?;
            Err(io::Error::other("no more numbers"))
        });
        let told = format!("{}: cannot be written: no more numbers", path.display());
        assert_eq!(failed, Err(Failure::Run(told)));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["plate.txt"]);
    }

    #[test]
    fn a_panic_while_writing_leaves_nothing_and_the_next_write_works() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plate.txt");
        let crash = || write_whole(&path, |_| panic!("broken"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(crash)).is_err());
        assert!(names(folder.path()).is_empty());
        write_text(&path, "new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink("file", &link).unwrap();
        write_text(&link, "through").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"through");
    }

    #[test]
    fn devices_are_written_straight_to() {
        write_npy(Path::new("/dev/null"), Array2::zeros((9, 9)).view()).unwrap();
        let full = write_text(Path::new("/dev/full"), "x").unwrap_err();
        assert!(full.to_string().starts_with("/dev/full: cannot be written: No space left"));
        assert_eq!(full.code(), 1);
    }

    #[test]
    fn a_named_pipe_gets_the_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| fs::read(&pipe).unwrap());
            write_text(&pipe, "through the pipe").unwrap();
            assert_eq!(reader.join().unwrap(), b"through the pipe");
        });
        assert_eq!(names(folder.path()), ["pipe"]);
    }

    #[test]
    fn a_file_that_cannot_be_made_is_told_without_its_other_name() {
        let refused = tempfile::NamedTempFile::new_in("/proc").map(drop).map_err(plain);
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("os error") && !told.contains("/proc"), "{told}");
    }

    #[test]
    fn a_directory_that_vanished_is_told_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let told = write_text(&gone.join("x"), "x").unwrap_err().to_string();
        assert!(told.ends_with(&format!("the directory {} does not exist", gone.display())));
    }
}
