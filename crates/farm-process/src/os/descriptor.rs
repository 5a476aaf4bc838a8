//! A descriptor of the farm that other code may close, and then open something else under its
//! number.
//!
//! A program that turns into a daemon closes all descriptors that it does not know, and a program
//! may close a wrong descriptor by mistake. So every operation that could harm a file of somebody
//! else (to write, to read, to close) is done only while the number still leads to the file that
//! the farm has opened.

use std::io;

use rustix::fd::AsFd;
use rustix::fs::fstat;

/// An open file of the farm, with its identity.
pub(crate) struct Own<T: AsFd> {
    /// `None` only while it is dropped.
    open: Option<T>,
    id: (u64, u64),
}

impl<T: AsFd> Own<T> {
    pub(crate) fn new(open: T) -> io::Result<Self> {
        let id = identity(&open)?;
        Ok(Self { open: Some(open), id })
    }

    /// The open file, as long as its number still leads to it.
    pub(crate) fn get(&self) -> Option<&T> {
        self.open.as_ref().filter(|open| identity(*open).is_ok_and(|id| id == self.id))
    }
}

impl<T: AsFd> Drop for Own<T> {
    fn drop(&mut self) {
        if self.get().is_none() {
            std::mem::forget(self.open.take());
        }
    }
}

/// The device and the inode of an open file.
fn identity(open: &impl AsFd) -> io::Result<(u64, u64)> {
    let found = fstat(open)?;
    Ok((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::fs::File;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    #[test]
    fn what_others_have_opened_under_the_same_number_is_neither_used_nor_closed() {
        let (ours, theirs) = std::io::pipe().unwrap();
        let number = ours.as_raw_fd();
        let ours = Own::new(ours).unwrap();
        assert!(ours.get().is_some());
        let null = File::open("/dev/null").unwrap();
        // SAFETY: replacing the descriptor is what is tested here. Nothing else in this process
        // uses the number, and in the end it has one owner.
        let other = unsafe {
            libc::dup2(null.as_raw_fd(), number);
            OwnedFd::from_raw_fd(number)
        };
        assert!(ours.get().is_none());
        drop((ours, theirs));
        assert!(fstat(&other).is_ok(), "it is open");
    }
}
