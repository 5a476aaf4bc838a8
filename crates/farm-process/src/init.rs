//! Where a process learns that it is a worker.
//!
//! A worker is the same executable as its master, told by one environment variable. Whether a process
//! would stop at [`init`] cannot be seen from outside; but it runs the same code as its master, so the
//! master looks at itself: if it never came past `init`, its workers would not either, and no process is
//! started at all. A forgotten `init` is an error, never a chain of processes.

use std::sync::atomic::{AtomicBool, Ordering};

use farm_os::Owner;

use crate::worker;

/// The variable that says who the master is.
pub(crate) const CALL: &str = "FARM_WORKER";

/// The name that a worker has in lists of processes: its first argument, where a program's own name stands.
pub(crate) const WORKER_NAME: &str = "farm-worker";

/// Set once, by the first of `init` and `init_before_main!`; read when a pool is built. It guards no
/// other data, so `Relaxed` serves.
static PASSED: AtomicBool = AtomicBool::new(false);

/// Makes this process a worker if a pool has started it as one; otherwise does next to nothing.
///
/// Call it first in `main`: what stands before it is done by every worker too.
///
/// # Examples
///
/// ```
/// # farm_process::init_before_main!();
/// fn main() {
///     farm_process::init();
///     // a worker process does not come here
/// }
/// ```
pub fn init() {
    enter();
}

/// Batcher [`init`] before `main`, for test files, which have no `main` of their own.
///
/// Put it at the top of a file under `tests/`, or into the test module of a library or of a doctest. It
/// is a macro and not a feature of this crate, because features are shared by all that is built
/// together: a test would silently change the programs beside it.
///
/// What else runs before `main` (the constructors of `ctor`, `inventory` or C++) has run in a worker too when its first task
/// begins, in the same order.
///
/// # Examples
///
/// ```
/// farm_process::init_before_main!();
///
/// // what a function marked `#[test]` may do:
/// use farm_core::Farm;
/// let pool = farm_process::Pool::new()?;
/// assert_eq!(pool.map(f64::sqrt, [4.0])?, [2.0]);
/// # Ok::<(), farm_core::FarmError>(())
/// ```
#[macro_export]
macro_rules! init_before_main {
    () => {
        const _: () = {
            #[used]
            #[unsafe(link_section = ".init_array")]
            static ENTER: $crate::Constructor = enter;
            unsafe extern "C" {
                static __init_array_end: $crate::Constructor;
            }
            extern "C" fn enter(count: i32, arguments: $crate::Texts, environment: $crate::Texts) {
                let place = (&raw const ENTER, &raw const __init_array_end);
                $crate::enter_before_main(place, (count, arguments, environment));
            }
        };
    };
}

/// What the loader calls before `main`, with what `main` gets. Source: the C libraries; some give nothing.
#[doc(hidden)]
pub type Constructor = extern "C" fn(i32, Texts, Texts);

#[doc(hidden)]
pub type Texts = *const *const std::ffi::c_char;

/// What [`init_before_main!`] has the loader call. It is told where it stands among the constructors, and where they end.
#[doc(hidden)]
pub fn enter_before_main(
    (this, end): (*const Constructor, *const Constructor),
    (count, arguments, environment): (i32, Texts, Texts),
) {
    if call().is_some() {
        // The program goes no further in a worker, and its tasks need what the others make.
        for place in (this.addr()..end.addr()).step_by(size_of::<Constructor>()).skip(1) {
            // SAFETY: between the two are the addresses of constructors, or nothing where the linker has left some out. They
            // are called in their order, each once, with what the loader would have given them.
            unsafe {
                let constructor =
                    this.with_addr(place).cast::<Option<Constructor>>().read_volatile();
                if let Some(constructor) = constructor {
                    constructor(count, arguments, environment);
                }
            }
        }
    }
    enter();
}

/// Whether workers started from this executable stop where they should.
pub(crate) fn passed() -> bool {
    PASSED.load(Ordering::Relaxed)
}

fn enter() {
    match call() {
        // A worker whose master has died already must not go on as the program.
        Some(master) if std::os::unix::process::parent_id() != master.pid() => {
            worker::abandoned(master)
        }
        Some(master) => worker::main(master),
        None => PASSED.store(true, Ordering::Relaxed),
    }
}

/// What the variable says: who the master is, and of which build.
pub(crate) fn call_of(master: Owner) -> String {
    format!("{master}/{}", build())
}

fn build() -> String {
    farm_core::backend::build_id().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The master that calls this process to be its worker, if one does.
///
/// The variable stays in the environment, since it cannot be removed safely where other threads may
/// read it. So a worker is also started under the name [`WORKER_NAME`], which programs that it starts do
/// not inherit.
fn call() -> Option<Owner> {
    let call = std::env::var(CALL).ok()?;
    let (master, its_build) = call.split_once('/')?;
    let master = master.parse().ok()?;
    // Not every C library has the arguments ready before `main`.
    let Ok(line) = std::fs::read("/proc/self/cmdline") else {
        // Rather no worker than a program that was not asked for.
        std::process::exit(1)
    };
    if line.split(|byte| *byte == 0).next() != Some(WORKER_NAME.as_bytes()) {
        return None;
    }
    if its_build != build() {
        eprintln!("farm: this worker is of another build than its master");
        std::process::exit(1);
    }
    Some(master)
}
