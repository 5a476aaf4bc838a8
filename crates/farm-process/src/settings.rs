//! What a pool is told when it is made, as plain data.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

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

/// Settings of a pool; [`Builder`](crate::Builder) has the words on each.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) workers: Option<usize>,
    pub(crate) in_flight: Option<usize>,
    pub(crate) start_timeout: Duration,
    pub(crate) environment: BTreeMap<OsString, OsString>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: None,
            in_flight: None,
            start_timeout: Duration::from_secs(30),
            environment: BTreeMap::new(),
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
