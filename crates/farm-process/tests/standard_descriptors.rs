//! A program or a task that has closed its descriptors 0 to 2: output is discarded, and is never
//! written to memory that the farm shares.

farm_process::init_before_main!();

mod common;

use common::{TRANSPORTS, builder_by, kill, part, pid, play, pool_by, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::{Band, SharedArray};
use ndarray::Ix1;
use rustix::process::Signal;

const BYTES: usize = 100_000;

/// Closes the descriptors 0 to 2.
fn close_all() {
    for descriptor in 0..3 {
        // SAFETY: nothing in this process owns the descriptors; the standard library uses them by
        // number.
        unsafe { libc::close(descriptor) };
    }
}

/// Writes to the descriptors 0 to 2, whatever they lead to.
fn print_to_all() {
    let line = "a line that a library prints ".repeat(30);
    for descriptor in 0..3 {
        // SAFETY: the bytes outlive the call.
        unsafe { libc::write(descriptor, line.as_ptr().cast(), line.len()) };
    }
}

/// What the descriptors 0 to 2 lead to, without those that are closed or lead to /dev/null.
fn taken_by_the_farm() -> Vec<String> {
    let link = |n: u32| std::fs::read_link(format!("/proc/self/fd/{n}")).ok();
    let links = (0..3).filter_map(link).map(|link| link.display().to_string());
    links.filter(|link| link != "/dev/null").collect()
}

/// A task that prints, and counts the bytes of its argument that are not as they were sent.
fn count_wrong(argument: Vec<u8>) -> usize {
    eprintln!("{}", "a line that a task prints ".repeat(30));
    argument.into_iter().filter(|byte| *byte != 0xab).count()
}

/// A task that closes the descriptors 0 to 2 of its worker, has a thread print to them without end,
/// and goes on to use the farm.
fn close_and_go_on(mut rows: Band<f64, Ix1>) -> (Vec<u8>, Band<f64, Ix1>) {
    close_all();
    std::thread::spawn(|| {
        loop {
            print_to_all();
        }
    });
    rows.view_mut().fill(2.0);
    (vec![0xab; BYTES], rows)
}

fn works_unharmed(pool: &Pool) {
    for outcome in pool.map_each(count_wrong, (0..40).map(|_| vec![0xab; BYTES])) {
        print_to_all();
        assert_eq!(outcome.unwrap(), 0, "bytes of an argument were changed");
    }
}

#[test]
fn a_program_without_standard_descriptors_prints_into_nothing_of_the_farms() {
    let name = "a_program_without_standard_descriptors_prints_into_nothing_of_the_farms";
    if part().is_some() {
        // The exit status of this process tells whether the assertions hold.
        for transport in TRANSPORTS {
            close_all();
            let pool = pool_by(transport, 2);
            assert_eq!(taken_by_the_farm(), [""; 0]);
            works_unharmed(&pool);
            // A daemon may close the descriptors after it has made its pool.
            close_all();
            let mut array = SharedArray::<f64, _>::zeros(BYTES).unwrap();
            assert_eq!(taken_by_the_farm(), [""; 0]);
            print_to_all();
            assert!(array.view_mut().iter().all(|x| *x == 0.0));
            close_all();
            let worker = pool.apply(pid, ()).unwrap();
            kill(worker, Signal::KILL);
            wait_until(|| pool.stats().workers_lost == 1 && pool.processes().len() == 2);
            assert_eq!(taken_by_the_farm(), [""; 0]);
            works_unharmed(&pool);
        }
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    });
}

#[test]
fn a_task_that_closes_the_standard_descriptors_prints_into_nothing_of_the_farms() {
    common::by_each("closing_tasks", |transport| {
        let pool = builder_by(transport, 1).max_tasks_per_worker(3).build().unwrap();
        for _ in 0..20 {
            let array = SharedArray::<f64, _>::zeros(BYTES).unwrap();
            let (split, mut bands) = array.split([0..BYTES]).unwrap();
            let (bytes, rows) = pool.apply(close_and_go_on, bands.remove(0)).unwrap();
            assert!(bytes == [0xab; BYTES], "bytes of a result were changed");
            let array = split.join(vec![rows]).unwrap();
            assert!(array.view().iter().all(|x| *x == 2.0), "rows were changed");
        }
    });
}
