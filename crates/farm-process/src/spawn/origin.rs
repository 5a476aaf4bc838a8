//! What the workers of a pool start with: the folder, the environment and the rights that the program had when it made the
//! pool, whatever it has become since. So a replacement is like those that it replaces.

use std::ffi::OsString;
use std::fs::read_to_string;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::os::descriptor::Own;

/// The rights of a process, by their names in proc_pid_status(5), and what they are called.
const RIGHTS: [(&str, &str); 8] = [
    ("Uid:", "user"),
    ("Gid:", "group"),
    ("Groups:", "groups"),
    ("CapInh:", "capabilities"),
    ("CapPrm:", "capabilities"),
    ("CapEff:", "capabilities"),
    ("CapBnd:", "capabilities"),
    ("CapAmb:", "capabilities"),
];

pub(crate) struct Origin {
    /// `None` where the program had none that it could open.
    folder: Option<Own<OwnedFd>>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    rights: Vec<String>,
}

impl Origin {
    /// What the program has now.
    pub(crate) fn new() -> io::Result<Self> {
        let folder =
            openat(CWD, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let folder = folder.ok().map(Own::new).transpose()?;
        Ok(Self { folder, environment: std::env::vars_os().collect(), rights: rights()? })
    }

    /// Where to find the folder, also if its name is gone: for a child, which inherits the descriptor until it is another
    /// program.
    pub(crate) fn folder(&self) -> io::Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        match folder.get() {
            Some(folder) => Ok(Some(format!("/proc/self/fd/{}", folder.as_raw_fd()).into())),
            None => Err(io::Error::other(
                "the program has closed the descriptor of the folder in which it has made the pool",
            )),
        }
    }

    /// Says that no worker like the others can be started, if that is so.
    pub(crate) fn check_rights(&self) -> io::Result<()> {
        let now = rights()?;
        let changed =
            RIGHTS.iter().zip(self.rights.iter().zip(&now)).find(|(_, (then, now))| then != now);
        let Some(((_, what), _)) = changed else { return Ok(()) };
        Err(io::Error::other(format!(
            "the program has changed its {what} since the pool was made, and what it starts now cannot be like the other \
             workers: make the pool after that"
        )))
    }
}

/// Those of this thread, which what it starts inherits.
fn rights() -> io::Result<Vec<String>> {
    let status = read_to_string("/proc/thread-self/status")?;
    let value =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(RIGHTS.iter().map(|(name, _)| value(name).trim().to_owned()).collect())
}
