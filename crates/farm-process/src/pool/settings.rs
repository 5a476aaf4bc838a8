//! The settings of a pool, as plain data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use farm_core::TaskOptions;
use farm_core::backend::FunctionRef;
use serde::{Deserialize, Serialize};

/// Variables by which numerical libraries choose their number of threads. A worker is one of many
/// processes, so each of these is 1 in a worker, unless the program's own environment sets it.
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

/// How tasks and results travel between the master and its workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Memory that each worker shares with its master. This is the default.
    #[default]
    Lanes,
    /// The sockets of ipc-channel, which starts and controls the workers with either transport.
    /// This is for systems that do not offer the other transport, and for comparison.
    Channel,
}

/// The settings of a pool; [`Builder`](crate::Builder) documents each of them.
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
    /// Defaults for the options that a task leaves open.
    pub(crate) task: TaskOptions,
}

/// The function that each worker calls before its first task, and its argument.
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
    /// The variables that are set in the workers beyond the program's own environment.
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
