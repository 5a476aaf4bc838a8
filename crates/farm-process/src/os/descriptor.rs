//! A descriptor that somebody may close, and open something else under its number.
//!
//! A program that makes a daemon of itself closes all that it does not know, and a mistake closes what it does not mean.
//! So whatever would do harm to a file of somebody else's (to write, to read, to close) is done only where the number still
//! leads to the file that was opened.

use std::io;

use rustix::fd::AsFd;
use rustix::fs::fstat;

/// Something open that is the farm's own.
pub(crate) struct Own<T: AsFd> {
    /// Until it is dropped.
    open: Option<T>,
    id: (u64, u64),
}

impl<T: AsFd> Own<T> {
    pub(crate) fn new(open: T) -> io::Result<Self> {
        let id = identity(&open)?;
        Ok(Self { open: Some(open), id })
    }

    /// It, as long as its number leads there.
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

/// Which file it is.
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
        // SAFETY: it is what is tested here. The number belongs to nobody else, and is owned once in the end.
        let other = unsafe {
            libc::dup2(null.as_raw_fd(), number);
            OwnedFd::from_raw_fd(number)
        };
        assert!(ours.get().is_none());
        drop((ours, theirs));
        assert!(fstat(&other).is_ok(), "it is open");
    }
}
