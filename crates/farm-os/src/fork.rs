//! Whether this process is the one that made a pool, or a fork of it. Asking takes no system call.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;
use rustix::mm::{Advice, madvise};

/// A page that holds the number of this process. In a forked process the kernel sets it to zero,
/// which means that the process has no number yet. Source: madvise(2), `MADV_WIPEONFORK`. A process
/// gives itself a number when it makes its first [`Here`].
static PAGE: OnceLock<MmapMut> = OnceLock::new();

/// The number of the last process that was given one. A forked process inherits it and counts on
/// from it, so no process has the number of one of its ancestors.
static LAST: AtomicU64 = AtomicU64::new(0);

/// The identity of a process. It is made in that process, and compared in forks that inherit it.
#[derive(Clone, Copy, Debug)]
pub struct Here(u64);

impl Here {
    /// Returns the identity of this process.
    ///
    /// # Errors
    ///
    /// If the system has no memory for a page, or if it is older than Linux 4.14.
    pub fn new() -> io::Result<Self> {
        if PAGE.get().is_none() {
            let page = MmapMut::map_anon(1)?;
            let place = page.as_ptr().cast_mut().cast();
            // SAFETY: the page was mapped here, and nothing else uses it yet. The advice affects
            // only the copies of the page in forked processes.
            unsafe { madvise(place, page.len(), Advice::LinuxWipeOnFork)? };
            PAGE.get_or_init(|| page);
        }
        let Some(number) = number() else { return Err(io::Error::other("there is no page")) };
        if number.load(Ordering::Relaxed) == 0 {
            let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            // If two threads come here first, the number of one of them counts for both.
            let _ = number.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(Self(number.load(Ordering::Relaxed)))
    }

    /// Returns whether this process is the one in which this value was made.
    #[must_use]
    #[inline]
    pub fn is_here(self) -> bool {
        number().is_some_and(|number| number.load(Ordering::Relaxed) == self.0)
    }
}

#[inline]
fn number() -> Option<&'static AtomicU64> {
    let page = PAGE.get()?;
    // SAFETY: the page is writable and mapped for as long as the process lives, and its alignment
    // is larger than that of the number. All bytes are valid. Only this function gives access to
    // the page, so every access is atomic.
    Some(unsafe { AtomicU64::from_ptr(page.as_ptr().cast_mut().cast()) })
}
