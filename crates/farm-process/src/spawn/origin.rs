//! What the workers of a pool start with: the working directory, the environment and the rights
//! that the program had when it made the pool, whatever it has changed since. So a replacement is
//! like the worker that it replaces.

use std::ffi::OsString;
use std::fs::read_to_string;
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::os::descriptor::Own;

/// The rights of a process: their names in proc_pid_status(5), and their names in messages.
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
    /// The working directory; `None` if the program had none that it could open.
    folder: Option<Own<OwnedFd>>,
    pub(crate) environment: Vec<(OsString, OsString)>,
    rights: Vec<String>,
}

impl Origin {
    /// What the program has at this moment.
    pub(crate) fn new() -> io::Result<Self> {
        let folder =
            openat(CWD, ".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let folder = folder.ok().map(Own::new).transpose()?;
        Ok(Self { folder, environment: std::env::vars_os().collect(), rights: rights()? })
    }

    /// A path to the folder that is valid even if the folder's name is gone. It is for a child,
    /// which inherits the descriptor until it executes another program.
    pub(crate) fn folder(&self) -> io::Result<Option<PathBuf>> {
        let Some(folder) = &self.folder else { return Ok(None) };
        match folder.get() {
            Some(folder) => Ok(Some(format!("/proc/self/fd/{}", folder.as_raw_fd()).into())),
            None => Err(io::Error::other(
                "the program has closed the descriptor of the folder in which it has made the pool",
            )),
        }
    }

    /// Returns an error if the program's rights have changed, so that no worker like the others can
    /// be started.
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

/// The rights of this thread, which the processes that it starts inherit.
fn rights() -> io::Result<Vec<String>> {
    let status = read_to_string("/proc/thread-self/status")?;
    let value =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    Ok(RIGHTS.iter().map(|(name, _)| value(name).trim().to_owned()).collect())
}
