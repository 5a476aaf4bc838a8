//! Whether this process is still the one that made a pool, and no fork of it, asked without a call of the system.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::MmapMut;
use rustix::mm::{Advice, madvise};

/// A page that the kernel has as zeros in every process that is forked. Source: madvise(2), `MADV_WIPEONFORK`. It holds
/// the number of the process, which each gives itself when it is first asked for.
static PAGE: OnceLock<MmapMut> = OnceLock::new();

/// The number of the last process that has one. A fork goes on from that of the process that it was forked from.
static LAST: AtomicU64 = AtomicU64::new(0);

/// What a fork of the process that made a pool is told.
pub const FORKED: &str = "this process is a fork of the one that made the pool";

/// The process in which it was made.
#[derive(Clone, Copy, Debug)]
pub struct Here(u64);

impl Here {
    /// This process.
    ///
    /// # Errors
    ///
    /// If the system has no memory for a page, or is older than Linux 4.14.
    pub fn new() -> io::Result<Self> {
        if PAGE.get().is_none() {
            let page = MmapMut::map_anon(1)?;
            let place = page.as_ptr().cast_mut().cast();
            // SAFETY: this concerns a page that is mapped here and nowhere else used, and only its copies in others.
            unsafe { madvise(place, page.len(), Advice::LinuxWipeOnFork)? };
            PAGE.get_or_init(|| page);
        }
        let Some(number) = number() else { return Err(io::Error::other("there is no page")) };
        if number.load(Ordering::Relaxed) == 0 {
            let next = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            // Of two threads that come first, one is too late.
            let _ = number.compare_exchange(0, next, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(Self(number.load(Ordering::Relaxed)))
    }

    /// Whether this is that process.
    #[must_use]
    #[inline]
    pub fn is_here(self) -> bool {
        number().is_some_and(|number| number.load(Ordering::Relaxed) == self.0)
    }
}

#[inline]
fn number() -> Option<&'static AtomicU64> {
    let page = PAGE.get()?;
    // SAFETY: the page is mapped for the life of the process, writable, and aligned to more than that; any bytes are
    // valid; and it is used through this function alone, hence atomically.
    Some(unsafe { AtomicU64::from_ptr(page.as_ptr().cast_mut().cast()) })
}
