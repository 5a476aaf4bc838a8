//! Counts the tasks that a worker has taken up, where the master can read the number after the
//! worker's death.
//!
//! The number tells a task that was running when its worker died from one that was still on its way
//! to it. It lies in a page of anonymous shared memory. A worker that writes to wrong addresses can
//! write any number; at worst, the wrong task or none is charged with that worker's death.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use farm_os::limits::check_file;
use ipc_channel::ipc::IpcSharedMemory;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct TaskCounter(IpcSharedMemory);

impl TaskCounter {
    /// A counter of 0. Panics if the system refuses ipc-channel the memory.
    pub(crate) fn new() -> io::Result<Self> {
        check_file(size_of::<AtomicU64>())?;
        Ok(Self(IpcSharedMemory::from_byte(0, size_of::<AtomicU64>())))
    }

    /// Counts one more task. Called by the worker.
    pub(crate) fn take_up(&self) {
        if let Some(count) = self.count() {
            // `Relaxed` suffices: when the master reads the number, the worker is dead, and there
            // is nothing that a release store could order.
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many tasks the worker has taken up. The number is final once the worker is dead.
    pub(crate) fn taken_up(&self) -> u64 {
        self.count().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn count(&self) -> Option<&AtomicU64> {
        let room = (self.0.len() >= size_of::<AtomicU64>()).then(|| self.0.as_ptr().cast_mut())?;
        // SAFETY: ipc-channel maps the block shared, readable and writable, and aligned to a page.
        // It lives as long as `self`, and holds at least one `AtomicU64`, for which any bytes are
        // valid. Both sides use it through this function alone, hence atomically.
        Some(unsafe { AtomicU64::from_ptr(room.cast()) })
    }
}
