//! The facts about the shapes of values, in memory that a master shares with all its workers.
//!
//! [`farm_core::codec`] explains these facts. By them, each side tells the other which values the
//! compact form brings back unchanged. There is one block of memory for the life of the program,
//! whatever pools come and go.

use std::sync::OnceLock;

use farm_core::codec::{self, Facts};
use farm_os::limits::check_file;
use ipc_channel::ipc::IpcSharedMemory;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// `None` if the system has no memory for it. Then each side has its own facts, and more values
/// than necessary travel in the described form.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SharedFacts(Option<IpcSharedMemory>);

static FACTS: OnceLock<SharedFacts> = OnceLock::new();

impl SharedFacts {
    /// The facts of this program, for its workers.
    pub(crate) fn of_this_program() -> Self {
        let facts = FACTS.get_or_init(|| {
            // ipc-channel panics if it is refused a descriptor.
            let is_available = check_file(size_of::<Facts>()).is_ok()
                && memfd_create("farm-facts", MemfdFlags::CLOEXEC).is_ok();
            let create = || IpcSharedMemory::from_byte(0, size_of::<Facts>());
            Self(is_available.then(|| farm_core::backend::contained(create).ok()).flatten())
        });
        facts.use_here();
        facts.clone()
    }

    /// Has this worker use the facts of its master.
    pub(crate) fn take_over(self) {
        FACTS.get_or_init(|| self).use_here();
    }

    fn use_here(&'static self) {
        let Some(memory) = &self.0 else { return };
        let place = memory.as_ptr();
        if memory.len() < size_of::<Facts>() || !place.addr().is_multiple_of(align_of::<Facts>()) {
            return;
        }
        // SAFETY: ipc-channel maps the block shared, readable and writable. The block is long
        // enough and aligned, as was checked above, and lives as long as the process, because it is
        // in a static. Any bytes are valid, and all sides use them as atomic numbers.
        let facts: &'static Facts = unsafe { &*place.cast() };
        codec::share(facts);
    }
}
