//! What is known of the shapes of values, in memory that a master shares with all its workers.
//!
//! [`farm_core::codec`] has the words on it. Each side tells the other in this way which values come back in the
//! compact form. It is one block for the life of the program, whatever pools come and go.

use std::sync::OnceLock;

use farm_core::codec::{self, Facts};
use farm_os::limits::check_file;
use ipc_channel::ipc::IpcSharedMemory;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// `None` where the system has no memory for it. Each side then has its own, and more is described than is needed.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SharedFacts(Option<IpcSharedMemory>);

static FACTS: OnceLock<SharedFacts> = OnceLock::new();

impl SharedFacts {
    /// Those of this program, for its workers.
    pub(crate) fn of_this_program() -> Self {
        let facts = FACTS.get_or_init(|| {
            // ipc-channel panics where it is refused a descriptor.
            let is_to_be_had = check_file(size_of::<Facts>()).is_ok()
                && memfd_create("farm-facts", MemfdFlags::CLOEXEC).is_ok();
            let create = || IpcSharedMemory::from_byte(0, size_of::<Facts>());
            Self(is_to_be_had.then(|| farm_core::backend::contained(create).ok()).flatten())
        });
        facts.use_here();
        facts.clone()
    }

    /// A worker has those of its master.
    pub(crate) fn take_over(self) {
        FACTS.get_or_init(|| self).use_here();
    }

    fn use_here(&'static self) {
        let Some(memory) = &self.0 else { return };
        let place = memory.as_ptr();
        if memory.len() < size_of::<Facts>() || !place.addr().is_multiple_of(align_of::<Facts>()) {
            return;
        }
        // SAFETY: ipc-channel maps the block shared, readable and writable; it is long enough and aligned,
        // as has just been seen, and lives as long as the process, being in a static; any bytes are
        // valid, and all sides use them as atomic numbers.
        let facts: &'static Facts = unsafe { &*place.cast() };
        codec::share(facts);
    }
}
