//! Whether this process is still the one that made a pool, and no fork of it, asked without a call of the system.

use std::io;
use std::sync::OnceLock;

use memmap2::MmapMut;
use rustix::mm::{Advice, madvise};

/// A page that the kernel has as zeros in every process that is forked. Source: madvise(2), `MADV_WIPEONFORK`.
static PAGE: OnceLock<MmapMut> = OnceLock::new();

/// The process in which it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here(());

impl Here {
    pub(crate) fn new() -> io::Result<Self> {
        let mut page = MmapMut::map_anon(1)?;
        // SAFETY: this concerns a page that is mapped here for the life of the process, and only its copies in others.
        unsafe { madvise(page.as_mut_ptr().cast(), page.len(), Advice::LinuxWipeOnFork)? };
        page[0] = 1;
        PAGE.get_or_init(|| page);
        Ok(Self(()))
    }

    pub(crate) fn is_here(self) -> bool {
        // Nobody writes to it but the kernel, in a process that has just begun.
        PAGE.get().is_some_and(|page| std::hint::black_box(page)[0] == 1)
    }
}
