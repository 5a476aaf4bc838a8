//! Where a worker and its master meet for the first time: a socket in a folder of its own.
//!
//! ipc-channel offers no other first contact than a named one-shot server, so for the milliseconds in
//! which a worker comes up there is something in the folder for temporary files. Whatever happens, the
//! last to know of it removes it: the server when the worker has come, [`call_off`] when it never will,
//! [`prepare_exit`] when the program ends in between, and the worker when it finds nobody there.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use ipc_channel::ipc::{IpcOneShotServer, IpcSender};
use parking_lot::Mutex;

use crate::transport::{Hello, send};

/// The longest path of the folder for temporary files. ipc-channel adds 20 bytes to it, and cuts off what
/// goes beyond the 107 that the address of a socket can have. Source: unix(7).
const LONGEST_FOLDER: usize = 80;

/// Meeting places at which nobody has been yet.
static OPEN: Mutex<Places> = Mutex::new(Places { closed: false, addresses: BTreeSet::new() });

struct Places {
    closed: bool,
    addresses: BTreeSet<String>,
}

/// Opens a meeting place.
///
/// # Errors
///
/// A text that says why it cannot be.
pub(crate) fn open() -> Result<(IpcOneShotServer<Hello>, String), String> {
    let folder = std::env::temp_dir();
    if folder.to_str().is_none() || folder.as_os_str().as_bytes().len() > LONGEST_FOLDER {
        let folder = folder.display();
        return Err(format!(
            "TMPDIR must be UTF-8 and of at most {LONGEST_FOLDER} bytes, and is {folder}"
        ));
    }
    let mut places = OPEN.lock();
    if places.closed {
        return Err("the program is ending".to_owned());
    }
    let (server, address) = IpcOneShotServer::new()
        .map_err(|error| format!("no meeting place in {}: {error}", folder.display()))?;
    places.addresses.insert(address.clone());
    Ok((server, address))
}

/// Somebody has been there, and the server has removed the place.
pub(crate) fn is_over(address: &str) {
    OPEN.lock().addresses.remove(address);
}

/// Ends the wait for a worker that will never come.
///
/// If nobody can be sent there, for want of a descriptor say, a thread goes on waiting, and nobody for it.
pub(crate) fn call_off(address: &str) {
    if let Ok(meeting) = IpcSender::connect(address.to_owned()) {
        let _ = send(&meeting, Hello::Gone);
    }
    remove(address);
    is_over(address);
}

/// Removes what pools of this program have in the folder for temporary files, and lets them start no more
/// workers.
///
/// This is for a program that is about to end without dropping its pools, as on Ctrl-C. Workers need no
/// such care: they end with the program.
pub fn prepare_exit() {
    let mut places = OPEN.lock();
    places.closed = true;
    std::mem::take(&mut places.addresses).iter().for_each(|address| remove(address));
}

/// Removes a meeting place at which nobody listens any more: its master is dead.
pub(crate) fn remove_if_deserted(address: &str) {
    let is_socket = Path::new(address).symlink_metadata().is_ok_and(|f| f.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == ErrorKind::ConnectionRefused;
    if is_socket && IpcSender::<Hello>::connect(address.to_owned()).err().is_some_and(refused) {
        remove(address);
    }
}

fn remove(address: &str) {
    let place = Path::new(address);
    if std::fs::remove_file(place).is_ok() {
        let _ = place.parent().map(std::fs::remove_dir);
    }
}
