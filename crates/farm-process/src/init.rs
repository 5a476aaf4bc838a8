//! Turns a process into a worker, if a master has started it as one.
//!
//! A worker runs the same executable as its master, and learns from one environment variable that
//! it is a worker. A master cannot see from outside whether a process would stop at [`init`]. But
//! the process runs the same code as the master, so the master looks at itself: if it never called
//! `init`, its workers would not either, and it starts no process at all. So a forgotten `init` is
//! an error, and never an endless chain of processes.

use std::sync::atomic::{AtomicBool, Ordering};

use farm_os::Owner;

use crate::worker;

/// The environment variable that makes a process a worker. Its value is that of [`variable_for`].
pub(crate) const VARIABLE: &str = "FARM_WORKER";

/// The name of a worker in lists of processes. It is the first argument, which otherwise is the
/// name of the program.
pub(crate) const WORKER_NAME: &str = "farm-worker";

/// Set once, by the first call of `init` or `init_before_main!` in a process that is no worker, and
/// read when a pool is built. It guards no other data, so `Relaxed` suffices.
static INITIALISED: AtomicBool = AtomicBool::new(false);

/// Makes this process a worker if a pool has started it as one; otherwise does next to nothing.
///
/// Call it first in `main`: every worker executes the code before it, too.
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

/// Calls [`init`] before `main`, for test files, which have no `main` of their own.
///
/// Put it at the top of a file under `tests/`, or into the test module of a library or of a
/// doctest. It is a macro and not a feature of this crate, because Cargo unifies the features of
/// all crates that it builds together: a feature for a test would silently change the programs
/// beside it.
///
/// All other code that runs before `main` (the constructors of `ctor`, `inventory` or C++) has run
/// in a worker too, and in the same order, when its first task begins.
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

/// A function that the loader calls before `main`, with the arguments of `main`. Source: the C
/// libraries; some pass no arguments.
#[doc(hidden)]
pub type Constructor = extern "C" fn(i32, Texts, Texts);

#[doc(hidden)]
pub type Texts = *const *const std::ffi::c_char;

/// The function that the loader calls for [`init_before_main!`]. `this` is the place of its own
/// address in the list of constructors, `end` is the end of that list.
#[doc(hidden)]
pub fn enter_before_main(
    (this, end): (*const Constructor, *const Constructor),
    (count, arguments, environment): (i32, Texts, Texts),
) {
    if master_of_this_worker().is_some() {
        // A worker ends in `enter`, so the loader does not call the constructors that follow this
        // one. Tasks may need what those set up, so they are called here.
        for place in (this.addr()..end.addr()).step_by(size_of::<Constructor>()).skip(1) {
            // SAFETY: between `this` and `end` lie the addresses of constructors, and zeros where
            // the linker has left one out. The constructors are called in their order, each once,
            // with the arguments that the loader would have passed.
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

/// Whether this process has called `init`, so that the workers that it starts call it too.
pub(crate) fn is_initialised() -> bool {
    INITIALISED.load(Ordering::Relaxed)
}

fn enter() {
    match master_of_this_worker() {
        // A worker whose master has already died must not go on as the program.
        Some(master) if std::os::unix::process::parent_id() != master.pid() => {
            worker::abandoned(master)
        }
        Some(master) => worker::main(master),
        None => INITIALISED.store(true, Ordering::Relaxed),
    }
}

/// The value of the variable [`VARIABLE`]: the master and its build.
pub(crate) fn variable_for(master: Owner) -> String {
    format!("{master}/{}", build())
}

fn build() -> String {
    farm_core::backend::build_id().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The master that has started this process as its worker, if one has.
///
/// The variable stays in the environment, because it cannot be removed safely while other threads
/// may read it. Programs that a worker starts inherit it. So a worker is also started under the
/// name [`WORKER_NAME`], which those programs do not inherit.
fn master_of_this_worker() -> Option<Owner> {
    let call = std::env::var(VARIABLE).ok()?;
    let (master, its_build) = call.split_once('/')?;
    let master = master.parse().ok()?;
    // Not every C library has the arguments of the process ready before `main`, so they are read
    // from /proc.
    let Ok(line) = std::fs::read("/proc/self/cmdline") else {
        // This process may be a worker: it ends, because it must not run the program a second time.
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
