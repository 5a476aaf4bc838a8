//! How many tasks a worker has taken up, where the master can read it after the worker's death.
//!
//! It tells a task that was running when its worker died from one that was still on its way there. The
//! count lies in a page of anonymous shared memory. A worker that runs wild can write anything into it;
//! the worst that comes of it is that the wrong task is charged with that worker's death, or none.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use farm_os::limits::check_file;
use ipc_channel::ipc::IpcSharedMemory;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TaskCounter(IpcSharedMemory);

impl TaskCounter {
    /// A counter of 0. Panics where the system refuses the memory, as ipc-channel does.
    pub(crate) fn new() -> io::Result<Self> {
        check_file(size_of::<AtomicU64>())?;
        Ok(Self(IpcSharedMemory::from_byte(0, size_of::<AtomicU64>())))
    }

    /// The worker takes up one more task.
    pub(crate) fn take_up(&self) {
        if let Some(count) = self.count() {
            // Release orders nothing that matters between processes one of which is dead when it is read.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many tasks the worker has taken up; once it is dead, that is final.
    pub(crate) fn taken_up(&self) -> u64 {
        self.count().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn count(&self) -> Option<&AtomicU64> {
        let room = (self.0.len() >= size_of::<AtomicU64>()).then(|| self.0.as_ptr().cast_mut())?;
        // SAFETY: ipc-channel maps the block shared, readable and writable, and aligned to a page; it lives
        // as long as `self`; it holds at least one `AtomicU64`, for which any bytes are valid; and both
        // sides use it through this function alone, hence atomically.
        Some(unsafe { AtomicU64::from_ptr(room.cast()) })
    }
}
