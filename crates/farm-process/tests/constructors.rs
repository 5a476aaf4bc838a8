//! Code that runs before `main` has run in workers too, whether it comes before or after the
//! constructor that turns a process into a worker.

/// Two constructors, as other crates make them.
macro_rules! constructors {
    ($first:literal, $second:literal) => {
        extern "C" fn first(count: i32) {
            super::run($first, count);
        }
        extern "C" fn second(count: i32) {
            super::run($second, count);
        }
        #[used]
        #[unsafe(link_section = ".init_array")]
        static FIRST: extern "C" fn(i32) = first;
        #[used]
        #[unsafe(link_section = ".init_array")]
        static SECOND: extern "C" fn(i32) = second;
    };
}

mod before {
    constructors!(0, 1);
}

farm_process::init_before_main!();

mod behind {
    constructors!(2, 3);
}

/// A constructor that comes before the others in any case: a linker may put the statics of a file
/// in any order.
mod early {
    extern "C" fn first(count: i32) {
        super::run(4, count);
    }
    #[used]
    #[unsafe(link_section = ".init_array.00200")]
    static FIRST: extern "C" fn(i32) = first;
}

mod common;

use std::sync::atomic::{AtomicU32, Ordering};

use common::{by_each, pool_by};
use farm_core::prelude::*;

const COUNT: usize = 5;

/// For each constructor its position in the order of the runs, one decimal digit for each run.
static ORDER: [AtomicU32; COUNT] = [const { AtomicU32::new(0) }; COUNT];
static NEXT: AtomicU32 = AtomicU32::new(1);
static ARGUMENTS: AtomicU32 = AtomicU32::new(0);

fn run(n: usize, count: i32) {
    let at = NEXT.fetch_add(1, Ordering::Relaxed);
    ORDER[n].store(10 * ORDER[n].load(Ordering::Relaxed) + at, Ordering::Relaxed);
    ARGUMENTS.store(count.cast_unsigned(), Ordering::Relaxed);
}

/// A task that returns the order of the runs, and whether a constructor was given the arguments of
/// `main`.
fn see(_: u32) -> ([u32; COUNT], bool) {
    let order = std::array::from_fn(|n| ORDER[n].load(Ordering::Relaxed));
    (order, ARGUMENTS.load(Ordering::Relaxed) as usize == std::env::args_os().count())
}

#[test]
fn what_runs_before_main_runs_in_workers_once_and_in_the_same_order() {
    by_each("constructors", |transport| {
        let here = see(0);
        let mut order = here.0;
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3, 4, 5], "each once");
        assert_eq!(pool_by(transport, 1).apply(see, 0).unwrap(), here);
    });
}
