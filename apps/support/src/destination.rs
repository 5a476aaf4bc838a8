//! Checks output paths before the run, without touching any file.
//!
//! A run of hours must not end with "no such directory". So paths are looked up first, as far as
//! that is possible without opening, creating or truncating anything: with `stat`, `readlink` and
//! `access`. The result also determines how to write. A file is replaced by renaming a finished one
//! over it, behind any symbolic links. A pipe, a terminal, a device or a file descriptor under
//! `/proc` (`/dev/stdout`) has no name that could be renamed: it is written directly.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::{env, fs};

use rustix::fs::{Access, access};

use crate::exit::Failure;

/// The number of links after which a path counts as circular; the system has the same limit.
const MAX_LINKS: usize = 40;

/// Checks that all requested outputs can be written, before anything is computed.
///
/// # Errors
/// As [`check_writable`] and [`check_distinct`].
pub fn check_all(outputs: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    let asked: Vec<_> =
        outputs.iter().filter_map(|(option, path)| Some((*option, (*path)?))).collect();
    for (option, path) in &asked {
        check_writable(option, path)?;
    }
    check_distinct(&asked)
}

/// Checks that `path` can be written, as far as that is possible without touching it.
///
/// # Errors
/// [`Failure::Usage`] in one line with `option`, `path` and the reason: the directory is missing or
/// not writable, or the path is a directory or a file that must not be written.
pub fn check_writable(option: &str, path: &Path) -> Result<(), Failure> {
    let refuse = |reason| Err(Failure::usage(format!("{option} {}: {reason}", path.display())));
    let checked = match locate(path) {
        Ok(Destination::Straight(target)) => may(&target, Access::WRITE_OK, "it"),
        Ok(Destination::File { directory, file }) => {
            may(&directory, Access::WRITE_OK | Access::EXEC_OK, "its directory").and_then(|()| {
                let exists = file.exists();
                if exists { may(&file, Access::WRITE_OK, "it") } else { Ok(()) }
            })
        }
        Err(reason) => Err(reason),
    };
    checked.or_else(refuse)
}

/// Checks that the outputs go to different places, so that none replaces another.
///
/// # Errors
/// [`Failure::Usage`] with both options and the path that they share.
pub fn check_distinct(outputs: &[(&str, &Path)]) -> Result<(), Failure> {
    for (index, (option, path)) in outputs.iter().enumerate() {
        let Ok(Destination::File { file, .. }) = locate(path) else {
            continue;
        };
        for (other, earlier) in &outputs[..index] {
            if matches!(locate(earlier), Ok(Destination::File { file: same, .. }) if same == file) {
                let path = path.display();
                return Err(Failure::usage(format!(
                    "{option} {path}: must be another file than that of {other}"
                )));
            }
        }
    }
    Ok(())
}

/// The way in which a path is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Not a plain file: it is opened and written.
    Straight(PathBuf),
    /// A plain file that may or may not exist; both paths are free of links.
    File { directory: PathBuf, file: PathBuf },
}

/// Follows the links of `path` to its destination; the error is the reason that there is none.
pub(crate) fn locate(path: &Path) -> Result<Destination, String> {
    if path.as_os_str().is_empty() {
        return Err("needs a file name".into());
    }
    match fs::metadata(path) {
        Ok(target) if target.is_dir() => return Err("is a directory".into()),
        Ok(target) if !target.is_file() => return Ok(Destination::Straight(path.into())),
        _ if path.as_os_str().as_encoded_bytes().ends_with(b"/") => {
            return Err("must be a file, not a directory".into());
        }
        _ => {}
    }
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        let name = path.file_name().ok_or("must be a file, not a directory")?.to_owned();
        let directory = directory_of(&path)?;
        let file = directory.join(&name);
        if directory.starts_with("/proc") {
            return if file.exists() {
                Ok(Destination::Straight(file))
            } else {
                Err("does not exist and cannot be made".into())
            };
        }
        match fs::read_link(&file) {
            Ok(target) => path = directory.join(target),
            Err(error) if error.kind() == ErrorKind::InvalidFilename => {
                return Err("has a name that is too long".into());
            }
            Err(_) => return Ok(Destination::File { directory, file }),
        }
    }
    Err("leads through too many links".into())
}

fn directory_of(path: &Path) -> Result<PathBuf, String> {
    let directory = match path.parent() {
        Some(parent) if parent != OsStr::new("") => parent.to_path_buf(),
        _ => env::current_dir().map_err(|error| format!("the current directory: {error}"))?,
    };
    let shown = directory.display();
    match fs::canonicalize(&directory) {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(_) => Err(format!("{shown} is not a directory")),
        Err(error) => Err(match error.kind() {
            ErrorKind::NotFound => format!("the directory {shown} does not exist"),
            ErrorKind::NotADirectory => format!("{shown} is not a directory"),
            ErrorKind::PermissionDenied => format!("the directory {shown} may not be entered"),
            _ => format!("the directory {shown}: {error}"),
        }),
    }
}

fn may(path: &Path, rights: Access, what: &str) -> Result<(), String> {
    access(path, rights).map_err(|error| refusal(what, error.into()))
}

fn refusal(what: &str, error: io::Error) -> String {
    match error.kind() {
        ErrorKind::PermissionDenied => format!("{what} is not writable"),
        ErrorKind::ReadOnlyFilesystem => format!("{what} is on a read-only file system"),
        _ => format!("{what} cannot be written: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::geteuid;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn reason(path: &Path) -> String {
        let failure = check_writable("--output", path).unwrap_err();
        assert_eq!(failure.code(), 2);
        let message = failure.to_string();
        let start = format!("--output {}: ", path.display());
        message.strip_prefix(&start).unwrap_or_else(|| panic!("{message}")).to_owned()
    }

    #[test]
    fn a_new_file_is_accepted_and_not_made() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(check_writable("--output", &folder.path().join("new.npy")), Ok(()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_existing_file_is_accepted_and_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.npy");
        fs::write(&file, "old").unwrap();
        let before = fs::metadata(&file).unwrap();
        assert_eq!(check_writable("--output", &file), Ok(()));
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before.modified().unwrap());
    }

    #[test]
    fn a_missing_directory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no");
        let told = format!("the directory {} does not exist", missing.display());
        assert_eq!(reason(&missing.join("plate.npy")), told);
    }

    #[test]
    fn directories_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(reason(folder.path()), "is a directory");
        assert_eq!(reason(&folder.path().join("new/")), "must be a file, not a directory");
        assert_eq!(reason(Path::new("..")), "is a directory");
        assert_eq!(reason(Path::new("")), "needs a file name");
    }

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let told = format!("{} is not a directory", file.path().display());
        assert_eq!(reason(&file.path().join("plate.npy")), told);
    }

    #[test]
    fn a_name_that_is_too_long_is_told_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(reason(&folder.path().join("x".repeat(300))), "has a name that is too long");
    }

    #[test]
    fn missing_rights_are_told_before_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old.npy");
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
        // The superuser may write everywhere, and `access` says so.
        if !geteuid().is_root() {
            assert_eq!(reason(&file), "its directory is not writable");
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(reason(&file), "it is not writable");
        }
        let denied = ErrorKind::PermissionDenied.into();
        assert_eq!(refusal("its directory", denied), "its directory is not writable");
        let read_only = ErrorKind::ReadOnlyFilesystem.into();
        assert_eq!(refusal("it", read_only), "it is on a read-only file system");
    }

    #[test]
    fn links_are_followed_to_the_file_behind_them() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().canonicalize().unwrap();
        fs::create_dir(directory.join("far")).unwrap();
        symlink("second", directory.join("first")).unwrap();
        symlink("far/plate.npy", directory.join("second")).unwrap();
        let far = directory.join("far");
        let expected = Destination::File { file: far.join("plate.npy"), directory: far };
        assert_eq!(locate(&directory.join("first")), Ok(expected));
        symlink("circle", directory.join("circle")).unwrap();
        assert_eq!(reason(&directory.join("circle")), "leads through too many links");
    }

    #[test]
    fn devices_and_descriptors_are_written_straight_to() {
        for path in ["/dev/null", "/dev/stderr", "/dev/fd/2", "/proc/self/fd/2"] {
            assert!(matches!(locate(Path::new(path)), Ok(Destination::Straight(_))), "{path}");
        }
        assert_eq!(check_writable("--output", Path::new("/dev/null")), Ok(()));
        assert_eq!(reason(Path::new("/dev/fd/999")), "does not exist and cannot be made");
    }

    #[test]
    fn two_outputs_must_not_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("a.npy"), folder.path().join("b.png"));
        symlink(&one, &two).unwrap();
        let null = Path::new("/dev/null");
        let clash = check_distinct(&[("--output", &one), ("--picture", &two)]).unwrap_err();
        let told =
            format!("--picture {}: must be another file than that of --output", two.display());
        assert_eq!(clash, Failure::Usage(told));
        assert_eq!(check_distinct(&[("--output", null), ("--picture", null)]), Ok(()));
    }
}
