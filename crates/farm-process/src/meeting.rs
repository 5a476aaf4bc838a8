//! Where a worker and its master meet for the first time: a socket without a name.
//!
//! ipc-channel offers no other first contact than a one-shot server in a folder of its own, among the
//! temporary files. A program that is killed would leave such folders behind, so they are removed as soon
//! as they are made: what is kept is a descriptor of the socket's place, which the worker gets as its
//! standard input, and by which it finds the socket in /proc. Only a program that is killed within those
//! microseconds leaves one folder.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Stdio;

use ipc_channel::ipc::{IpcOneShotServer, IpcSender};
use parking_lot::Mutex;
use rustix::fs::{Mode, OFlags};

use crate::transport::{Hello, send};

/// The longest path of the folder for temporary files. ipc-channel adds 20 bytes to it, and cuts off what
/// goes beyond the 107 that the address of a socket can have. Source: unix(7).
const LONGEST_FOLDER: usize = 80;

/// Locked while something is in the folder for temporary files; `true` once nothing may be any more.
static ENDING: Mutex<bool> = Mutex::new(false);

/// The place of a server that has no name.
pub(crate) struct Place(OwnedFd);

/// Opens a meeting place.
///
/// # Errors
///
/// A text that says why it cannot be.
pub(crate) fn open() -> Result<(IpcOneShotServer<Hello>, Place), String> {
    let folder = std::env::temp_dir();
    if folder.to_str().is_none() || folder.as_os_str().as_bytes().len() > LONGEST_FOLDER {
        let folder = folder.display();
        return Err(format!(
            "TMPDIR must be UTF-8 and of at most {LONGEST_FOLDER} bytes, and is {folder}"
        ));
    }
    let ending = ENDING.lock();
    if *ending {
        return Err("the program is ending".to_owned());
    }
    let (server, address) = IpcOneShotServer::new()
        .map_err(|error| format!("no meeting place in {}: {error}", folder.display()))?;
    let place = rustix::fs::open(&address, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let address = Path::new(&address);
    if std::fs::remove_file(address).is_ok() {
        let _ = address.parent().map(std::fs::remove_dir);
    }
    drop(ending);
    let place = place.map_err(|error| format!("no descriptor for a meeting place: {error}"))?;
    Ok((server, Place(place)))
}

impl Place {
    /// What the worker gets as its standard input, to find the place by.
    pub(crate) fn as_input(&self) -> std::io::Result<Stdio> {
        Ok(self.0.as_fd().try_clone_to_owned()?.into())
    }

    /// Ends the wait for a worker that will never come.
    ///
    /// If nobody can be sent there, for want of a descriptor say, a thread goes on waiting, and nobody for
    /// it.
    pub(crate) fn call_off(&self) {
        if let Ok(meeting) = go_to(self.0.as_raw_fd()) {
            let _ = send(&meeting, Hello::Gone);
        }
    }
}

/// A worker goes to meet its master, and has an empty standard input from then on.
pub(crate) fn go() -> std::io::Result<IpcSender<Hello>> {
    let meeting = go_to(0)?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Ok(meeting)
}

fn go_to(place: i32) -> std::io::Result<IpcSender<Hello>> {
    IpcSender::connect(format!("/proc/self/fd/{place}"))
}

/// Lets no pool of this program start another worker, and with that, nothing of the farm is in the folder
/// for temporary files.
///
/// This is for a program that is about to end without dropping its pools, as on Ctrl-C. Workers need no
/// such care: they end with the program.
pub fn prepare_exit() {
    *ENDING.lock() = true;
}
