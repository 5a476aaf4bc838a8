//! The room for long values is shared by all tasks. An argument that finds none waits until other
//! values free theirs, and memory that is not in use goes back to the system.

farm_process::init_before_main!();

mod common;

use std::path::PathBuf;

use common::{Folder, builder_by, part, play, pool, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Transport;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const MIB: usize = 1 << 20;

/// A task that waits for a file, and then sums up its bytes.
fn sum_when_there((gate, bytes): (PathBuf, Vec<u8>)) -> u64 {
    wait_until(|| gate.exists());
    bytes.iter().map(|byte| u64::from(*byte)).sum()
}

/// A task that returns so many bytes.
fn bytes(n: usize) -> Vec<u8> {
    vec![1; n]
}

/// Plays `body` in a program whose files, and so its shared memory, may not be longer than 64 MiB
/// each.
fn with_little_room(name: &'static str, body: impl Fn(PathBuf)) {
    if part().is_some() {
        let limit = Rlimit { current: Some(64 << 20), ..getrlimit(Resource::Fsize) };
        setrlimit(Resource::Fsize, limit).unwrap();
        let folder = Folder::new();
        body(folder.0.join("open"));
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn an_argument_that_finds_no_room_waits_until_there_is_some() {
    with_little_room("an_argument_that_finds_no_room_waits_until_there_is_some", |gate| {
        let pool = pool(1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Seven arguments fit, and one more waits.
                wait_until(|| pool.stats().submitted == 8);
                std::fs::write(&gate, "").unwrap();
            });
            let submit =
                |n: usize| pool.submit(sum_when_there, (gate.clone(), vec![n as u8; 9 * MIB]));
            let handles: Vec<_> = (0..30).map(submit).collect();
            for (n, handle) in handles.into_iter().enumerate() {
                assert_eq!(handle.get().unwrap(), (n * 9 * MIB) as u64);
            }
        });
        let arguments = (0..30).map(|n| (gate.clone(), vec![n; 9 * MIB]));
        let sums = pool.map(sum_when_there, arguments).unwrap();
        assert!(sums.into_iter().eq((0..30).map(|n| n * 9 * MIB as u64)));
        // An argument that can never fit is refused at once.
        let error = pool.apply(sum_when_there, (gate, vec![1; 65 * MIB])).unwrap_err();
        assert!(matches!(error, TaskError::NoRoom { .. }), "{error}");
        assert!(error.to_string().contains("ulimit -f"), "{error}");
    });
}

#[test]
fn who_waits_for_room_in_a_pool_that_breaks_is_told() {
    /// A task that waits for a file, and then kills its worker.
    fn die_when_there((gate, _): (PathBuf, Vec<u8>)) {
        wait_until(|| gate.exists());
        std::process::abort();
    }
    with_little_room("who_waits_for_room_in_a_pool_that_breaks_is_told", |gate| {
        let pool = builder_by(Transport::Lanes, 1).build().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                wait_until(|| pool.stats().submitted == 8);
                std::fs::write(&gate, "").unwrap();
            });
            let submit = |n: u8| pool.submit(die_when_there, (gate.clone(), vec![n; 9 * MIB]));
            for handle in (0..12).map(submit).collect::<Vec<_>>() {
                let error = handle.get().unwrap_err();
                assert!(
                    matches!(error, TaskError::WorkerLost { .. } | TaskError::NoWorkers { .. }),
                    "{error}"
                );
            }
        });
    });
}

#[test]
fn unread_results_hold_up_no_task_where_addresses_are_few() {
    let name = "unread_results_hold_up_no_task_where_addresses_are_few";
    if part().is_some() {
        let limit = Rlimit { current: Some(3_000_000 << 10), ..getrlimit(Resource::As) };
        setrlimit(Resource::As, limit).unwrap();
        let pool = pool(1);
        let handles: Vec<_> = (0..12).map(|_| pool.submit(bytes, 40 * MIB)).collect();
        for handle in handles.into_iter().rev() {
            assert!(handle.get().unwrap() == vec![1; 40 * MIB]);
        }
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

/// How many bytes of memory the blocks of this process take.
fn memory_of_blocks() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let blocks = descriptors.filter(|descriptor| {
        let link = std::fs::read_link(descriptor.path());
        link.is_ok_and(|link| link.to_string_lossy().contains("memfd:farm-"))
    });
    let of_file =
        |path| std::fs::metadata(path).map_or(0, |file: std::fs::Metadata| file.blocks() * 512);
    blocks.map(|descriptor| of_file(descriptor.path())).sum()
}

#[test]
fn an_idle_pool_gives_the_memory_of_long_values_back() {
    let name = "an_idle_pool_gives_the_memory_of_long_values_back";
    if part().is_some() {
        let pool = pool(1);
        for _ in 0..3 {
            let unread = pool.submit(bytes, 20 * MIB);
            let back = pool.apply(|bytes: Vec<u8>| bytes, vec![7; 30 * MIB]).unwrap();
            assert!(back == vec![7; 30 * MIB]);
            assert!(memory_of_blocks() > 20 << 20, "it is kept for more");
            unread.wait();
            wait_until(|| memory_of_blocks() < 23 << 20);
            // A result that has not been read keeps its memory.
            assert!(unread.get().unwrap() == vec![1; 20 * MIB]);
            wait_until(|| memory_of_blocks() < 2 << 20);
        }
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn a_long_result_of_a_worker_whose_descriptors_were_closed_is_told_and_writes_to_no_other_file() {
    /// A task that closes all descriptors of the farm's memory, and opens a file under each number.
    fn close_and_return((path, n): (PathBuf, usize)) -> Vec<u8> {
        let is_block = |n: &i32| {
            let link = std::fs::read_link(format!("/proc/self/fd/{n}"));
            link.is_ok_and(|link| link.to_string_lossy().contains("memfd:farm-"))
        };
        for descriptor in (3..64).filter(is_block) {
            // SAFETY: closing descriptors of the farm, as a program may by mistake, is what is
            // tested here.
            unsafe { libc::close(descriptor) };
            std::mem::forget(std::fs::File::create(&path).unwrap());
        }
        vec![1; n]
    }
    guard("closed_blocks", || {
        let (pool, folder) = (pool(1), Folder::new());
        let path = folder.0.join("file");
        match pool.apply(close_and_return, (path.clone(), 8 * MIB)) {
            Ok(result) => assert!(result == vec![1; 8 * MIB]),
            Err(error) => assert!(matches!(error, TaskError::NoRoom { .. }), "{error}"),
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "it is the task's own");
        common::is_usable(&pool);
    });
}
