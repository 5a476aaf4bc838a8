//! A task, or the program, closes descriptors of the farm, or opens something else under their
//! numbers. No living process is taken for dead, and nothing that belongs to somebody else is
//! removed, killed or written to.

farm_process::init_before_main!();

mod common;

use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use common::{
    Folder, TRANSPORTS, builder_by, is_usable, kill, part, pid, play, pool_by, wait_until,
};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::{Pool, Transport};
use farm_shm::{ArrayRef, SharedArray};
use ndarray::{Array1, Ix1};
use rustix::process::Signal;

/// Plays `body` as a program of its own, because a failed assertion shows in how the program ends.
fn in_a_program(name: &'static str, body: impl Fn(Transport)) {
    if part().is_some() {
        TRANSPORTS.into_iter().for_each(body);
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {err}", output.status);
        assert!(!err.contains("panicked"), "{err}");
    });
}

/// The descriptors of this process, and what they lead to.
fn descriptors() -> Vec<(i32, String)> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let known = entries.filter_map(|entry| {
        let number: i32 = entry.file_name().to_str()?.parse().ok()?;
        let link = std::fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        Some((number, link))
    });
    // The last one is that of the folder /proc/self/fd, which is closed again.
    known.filter(|(number, link)| *number > 2 && !link.ends_with("/fd")).collect()
}

/// A task that closes all descriptors, or only the one by which its worker watches its master.
fn close_some(all: bool) -> u32 {
    for (number, link) in descriptors() {
        if all || link.contains("pidfd") {
            // SAFETY: closing descriptors of the farm is what is tested here.
            unsafe { libc::close(number) };
        }
    }
    // A worker takes less time than this to look at its descriptors.
    std::thread::sleep(Duration::from_millis(800));
    7
}

/// A task that puts a file of its own under each of the numbers, and returns the content of the
/// file in the end.
fn put_a_file_in_their_place(folder: PathBuf) -> Vec<u8> {
    let path = folder.join(std::process::id().to_string());
    std::fs::write(&path, b"mine").unwrap();
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    for (number, link) in descriptors() {
        if number != file.as_raw_fd() && !link.ends_with(".so") {
            // SAFETY: replacing descriptors of the farm is what is tested here.
            unsafe { libc::dup2(file.as_raw_fd(), number) };
        }
    }
    std::thread::sleep(Duration::from_millis(600));
    std::fs::read(&path).unwrap()
}

fn sum(array: ArrayRef<f64, Ix1>) -> f64 {
    array.view().sum()
}

fn files_of_this_process() -> usize {
    let files = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let prefix = format!("farm-{}-", std::process::id());
    files.filter(|file| file.file_name().to_string_lossy().starts_with(&prefix)).count()
}

/// Plays another program, which makes a pool and so removes the files of dead programs.
fn another_program_makes_a_pool(name: &str) {
    let output = play(name, "other").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn arrays_outlive(name: &'static str, do_harm: impl Fn(&Pool)) {
    if part().as_deref() == Some("other") {
        drop(pool_by(Transport::Lanes, 1));
        return;
    }
    in_a_program(name, |transport| {
        let pool = pool_by(transport, 2);
        let ones = |length| SharedArray::from_array(&Array1::<f64>::ones(length)).unwrap().freeze();
        let array = ones(100_000);
        do_harm(&pool);
        assert_eq!(pool.apply(sum, array.clone()).unwrap(), 100_000.0);
        let later = ones(1000);
        another_program_makes_a_pool(name);
        assert_eq!(files_of_this_process(), 3, "two arrays and the lock");
        assert_eq!(pool.apply(sum, later.clone()).unwrap(), 1000.0);
        for outcome in pool.map_each(common::square, 0..100) {
            outcome.unwrap();
        }
        drop((array, later, pool));
        assert_eq!(files_of_this_process(), 0);
    });
}

#[test]
fn arrays_outlive_a_task_that_closes_all_descriptors() {
    arrays_outlive("arrays_outlive_a_task_that_closes_all_descriptors", |pool| {
        let outcome = pool.apply(close_some, true);
        assert!(matches!(outcome, Ok(7) | Err(TaskError::WorkerLost { .. })), "{outcome:?}");
        wait_until(|| pool.stats().workers_lost == 1 && pool.processes().len() == 2);
    });
}

#[test]
fn arrays_outlive_a_task_that_closes_the_pidfd_of_its_master() {
    arrays_outlive("arrays_outlive_a_task_that_closes_the_pidfd_of_its_master", |pool| {
        assert_eq!(pool.apply(close_some, false).unwrap(), 7);
        wait_until(|| pool.stats().workers_lost == 1 && pool.processes().len() == 2);
    });
}

#[test]
fn arrays_outlive_a_program_that_closes_all_descriptors_of_its_locks() {
    arrays_outlive("arrays_outlive_a_program_that_closes_all_descriptors_of_its_locks", |_| {
        for (number, link) in descriptors() {
            if link.contains("-lock") || link.contains("-new") {
                // SAFETY: closing descriptors of the farm is what is tested here.
                unsafe { libc::close(number) };
            }
        }
    });
}

#[test]
fn nothing_is_written_to_what_a_task_has_put_in_the_place_of_descriptors() {
    in_a_program(
        "nothing_is_written_to_what_a_task_has_put_in_the_place_of_descriptors",
        |transport| {
            let folder = Folder::new();
            let pool = pool_by(transport, 2);
            let outcome = pool.apply(put_a_file_in_their_place, folder.0.clone());
            match outcome {
                Ok(bytes) => assert_eq!(bytes, b"mine"),
                Err(error) => assert!(matches!(error, TaskError::WorkerLost { .. }), "{error}"),
            }
            wait_until(|| pool.stats().workers_lost == 1 && pool.processes().len() == 2);
            for file in folder.files() {
                assert_eq!(std::fs::read(folder.0.join(file)).unwrap(), b"mine");
            }
            is_usable(&pool);
        },
    );
}

/// The descriptors that stay open: others may be closed at any moment by the thread that has opened
/// them.
fn lasting() -> Vec<(i32, String)> {
    let mut known = descriptors();
    let mut times = 0;
    while times < 5 {
        std::thread::sleep(Duration::from_millis(10));
        let now = descriptors();
        times = if now == known { times + 1 } else { 0 };
        known = now;
    }
    known
}

/// The identity of the file that a number leads to, if it is open.
fn identity(number: i32) -> Option<(u64, u64)> {
    // SAFETY: the descriptor is borrowed for this call, which returns an error if it is not open.
    let found = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(number) }).ok()?;
    Some((found.st_dev, found.st_ino))
}

/// Whether ipc-channel owns this descriptor. It closes the number again, whatever has been opened
/// under it since.
fn is_of_ipc_channel(link: &str) -> bool {
    link.starts_with("socket:") || link.contains("ipc-channel")
}

/// Makes a pool again and again, and calls `close` for a different descriptor of it each time.
fn closed_one_by_one(close: impl Fn(i32), file: Option<&std::path::Path>) {
    for transport in TRANSPORTS {
        // Descriptors that the farm keeps for the life of the program are opened before.
        drop(pool_by(transport, 1));
        let mut nth = 0;
        loop {
            let before: BTreeSet<_> = lasting().into_iter().collect();
            let pool = builder_by(transport, 2).build().unwrap();
            wait_until(|| pool.processes().len() == 2);
            let mut of_pool = lasting();
            of_pool.retain(|descriptor| !before.contains(descriptor));
            // If `close` puts a file in the place of a descriptor, the number cannot be given to
            // another file, so descriptors of ipc-channel are tested too.
            of_pool.retain(|(_, link)| file.is_some() || !is_of_ipc_channel(link));
            let Some((number, link)) = of_pool.get(nth) else { break };
            eprintln!("{transport:?}: {number} {link}");
            close(*number);
            nth += 1;
            let handles: Vec<_> = (0..20).map(|n| pool.submit(common::square, n)).collect();
            let failed = handles.into_iter().map(TaskHandle::get).filter(Result::is_err).count();
            assert!(failed <= 2, "{failed} of 20 tasks failed");
            if let Ok(worker) = pool.apply(pid, ()) {
                let _ = rustix::process::kill_process(
                    rustix::process::Pid::from_raw(worker).unwrap(),
                    Signal::KILL,
                );
            }
            let handles: Vec<_> = (0..20).map(|n| pool.submit(common::square, n)).collect();
            handles.into_iter().for_each(|handle| drop(handle.get()));
            drop(pool);
            if let Some(path) = file {
                assert_eq!(std::fs::read(path).unwrap(), b"mine", "{link}");
                let found = std::fs::metadata(path).unwrap();
                // ipc-channel may have closed the file, and the number may belong to another one.
                if identity(*number) == Some((found.dev(), found.ino())) {
                    // SAFETY: the number leads to the file that this test has put there.
                    unsafe { libc::close(*number) };
                }
            }
        }
        assert!(nth >= 4, "{nth} descriptors");
    }
}

#[test]
fn a_program_that_closes_a_descriptor_of_its_pool_waits_for_nothing_and_is_told_no_death() {
    let name =
        "a_program_that_closes_a_descriptor_of_its_pool_waits_for_nothing_and_is_told_no_death";
    if part().is_some() {
        let close = |number| {
            // SAFETY: closing descriptors of the farm is what is tested here.
            let _ = unsafe { libc::close(number) };
        };
        return closed_one_by_one(close, None);
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !err.contains("panicked"), "{} {err}", output.status);
    });
}

#[test]
fn nothing_is_written_to_what_a_program_has_put_in_the_place_of_a_descriptor() {
    let name = "nothing_is_written_to_what_a_program_has_put_in_the_place_of_a_descriptor";
    if part().is_some() {
        let folder = Folder::new();
        let path = folder.0.join("file");
        std::fs::write(&path, b"mine").unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let put = |number| {
            // SAFETY: replacing descriptors of the farm is what is tested here.
            let _ = unsafe { libc::dup2(file.as_raw_fd(), number) };
        };
        return closed_one_by_one(put, Some(&path));
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !err.contains("panicked"), "{} {err}", output.status);
    });
}

#[test]
fn a_worker_whose_master_has_lost_its_pidfd_is_killed_when_its_time_is_over() {
    in_a_program(
        "a_worker_whose_master_has_lost_its_pidfd_is_killed_when_its_time_is_over",
        |transport| {
            let pool = pool_by(transport, 1);
            for (number, link) in descriptors() {
                if link.contains("pidfd") {
                    // SAFETY: closing descriptors of the farm is what is tested here.
                    unsafe { libc::close(number) };
                }
            }
            let options = TaskOptions::new().timeout(Duration::from_millis(200));
            let outcome = pool.submit_with(options, common::stay, ()).get();
            assert!(matches!(outcome, Err(TaskError::TimedOut { .. })), "{outcome:?}");
            let worker = pool.apply(pid, ()).unwrap();
            kill(worker, Signal::KILL);
            wait_until(|| pool.stats().workers_lost == 2);
            is_usable(&pool);
        },
    );
}
