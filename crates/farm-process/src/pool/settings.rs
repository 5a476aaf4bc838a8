//! What a pool is told when it is made, as plain data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use farm_core::TaskOptions;
use farm_core::backend::FunctionRef;
use serde::{Deserialize, Serialize};

/// Variables by which numerical libraries choose their threads. A worker is one of many, so by default
/// it has one thread; what the program's own environment says goes before.
const THREAD_VARIABLES: [&str; 7] = [
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
];

/// How long a worker that has nothing left to do may take to end by itself.
pub(crate) const GRACE: Duration = Duration::from_secs(2);

/// By what tasks and results travel between the master and its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Memory that each worker shares with its master: as fast as threads.
    #[default]
    Lanes,
    /// The sockets of ipc-channel, which start and control the workers in any case. This is for systems on which the
    /// other is not to be had, and to compare.
    Channel,
}

/// Settings of a pool; [`Builder`](crate::Builder) has the words on each.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) workers: Option<usize>,
    pub(crate) transport: Transport,
    pub(crate) in_flight: Option<usize>,
    pub(crate) max_queued: Option<usize>,
    pub(crate) start_timeout: Duration,
    pub(crate) stopped_after: Duration,
    pub(crate) tasks_per_worker: Option<u64>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) pinned: bool,
    pub(crate) initializer: Option<Initializer>,
    pub(crate) environment: BTreeMap<OsString, OsString>,
    /// What the options of a task leave open.
    pub(crate) task: TaskOptions,
}

/// What each worker calls before its first task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Initializer {
    pub(crate) function: FunctionRef,
    #[serde(with = "farm_core::plain")]
    pub(crate) argument: Vec<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: None,
            transport: Transport::default(),
            in_flight: None,
            max_queued: None,
            start_timeout: Duration::from_secs(30),
            stopped_after: Duration::from_secs(10),
            tasks_per_worker: None,
            memory_limit: None,
            pinned: false,
            initializer: None,
            environment: BTreeMap::new(),
            task: TaskOptions::new(),
        }
    }
}

impl Settings {
    /// The variables that the workers have and this process has not.
    pub(crate) fn worker_environment(&self) -> BTreeMap<OsString, OsString> {
        let mut environment: BTreeMap<OsString, OsString> = THREAD_VARIABLES
            .into_iter()
            .filter(|name| std::env::var_os(name).is_none())
            .map(|name| (name.into(), "1".into()))
            .collect();
        environment.extend(self.environment.clone());
        environment
    }
}
