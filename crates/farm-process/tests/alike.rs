//! The workers of a pool are alike, whatever the program has changed since it made the pool. If the
//! end of a worker is not known, the report does not guess it.

farm_process::init_before_main!();

mod common;

use std::collections::BTreeSet;

use common::{Folder, TRANSPORTS, builder_by, kill, part, pid, play, pool_by, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::{Pool, Transport};
use rustix::process::Signal;

/// Plays `body` as a program of its own.
fn in_a_program(name: &'static str, body: impl Fn(Transport)) {
    if part().is_some() {
        TRANSPORTS.into_iter().for_each(body);
        return;
    }
    guard(name, || {
        let output = play(name, "master").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {err}", output.status);
    });
}

/// A task that returns variables with which its worker has started, and the files in its working
/// directory.
fn see(_: u32) -> (Option<String>, Option<String>, BTreeSet<String>) {
    // A task takes so long that both workers get some.
    std::thread::sleep(std::time::Duration::from_millis(5));
    let variable = |name| std::env::var(name).ok();
    let files = std::fs::read_dir(".").unwrap().flatten();
    let files = files.map(|file| file.file_name().into_string().unwrap());
    (variable("MODE"), variable("HOME"), files.collect())
}

fn replace_a_worker(pool: &Pool) {
    let lost = pool.stats().workers_lost;
    kill(pool.apply(pid, ()).unwrap(), Signal::KILL);
    wait_until(|| pool.stats().workers_lost > lost && pool.processes().len() == pool.workers());
}

fn what_all_see(pool: &Pool) -> BTreeSet<(Option<String>, Option<String>, BTreeSet<String>)> {
    pool.map(see, 0..20).unwrap().into_iter().collect()
}

#[test]
fn a_replacement_starts_with_the_folder_and_environment_of_the_others() {
    in_a_program(
        "a_replacement_starts_with_the_folder_and_environment_of_the_others",
        |transport| {
            let (folder, other) = (Folder::new(), Folder::new());
            std::fs::write(folder.0.join("here"), "").unwrap();
            std::env::set_current_dir(&folder.0).unwrap();
            let pool = pool_by(transport, 2);
            wait_until(|| pool.processes().len() == 2);
            let before = what_all_see(&pool);
            std::env::set_current_dir(&other.0).unwrap();
            // SAFETY: no other thread of this program accesses the environment at this moment.
            unsafe {
                std::env::set_var("MODE", "new");
                std::env::remove_var("HOME");
            }
            replace_a_worker(&pool);
            assert_eq!(what_all_see(&pool), before);
            // The folder now has another name, and is still the same folder.
            let moved = other.0.join("moved");
            std::fs::rename(&folder.0, &moved).unwrap();
            replace_a_worker(&pool);
            assert_eq!(what_all_see(&pool), before);
            std::fs::remove_dir_all(&moved).unwrap();
            replace_a_worker(&pool);
            assert_eq!(what_all_see(&pool).into_iter().next().unwrap().2, BTreeSet::new());
        },
    );
}

#[test]
fn a_program_that_has_given_up_its_rights_is_told_that_they_are_in_the_way() {
    let name = "a_program_that_has_given_up_its_rights_is_told_that_they_are_in_the_way";
    if let Some(transport) = part() {
        let transport = TRANSPORTS[usize::from(transport == "channel")];
        let pool = builder_by(transport, 1).build().unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        // SAFETY: the calls change this program alone, which was started for this test.
        unsafe {
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
        }
        // The worker kills itself, because this program may not signal it any more.
        let outcome = pool.apply(|worker: i32| kill(worker, Signal::KILL), worker);
        assert!(matches!(outcome, Err(TaskError::WorkerLost { .. })), "{outcome:?}");
        let error = pool.apply(pid, ()).unwrap_err().to_string();
        assert!(error.contains("has changed its user since the pool was made"), "{error}");
        assert!(error.contains("make the pool after that") && !error.contains('\n'), "{error}");
        drop(pool);
        let pool = builder_by(Transport::Channel, 1).build().unwrap();
        assert_eq!(pool.map(common::square, 0..3).unwrap(), [0, 1, 4]);
        return;
    }
    guard(name, || {
        if !rustix::process::geteuid().is_root() {
            eprintln!("only root has rights to give up");
            return;
        }
        for transport in ["lanes", "channel"] {
            let output = play(name, transport).output().unwrap();
            let err = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} {err}", output.status);
        }
    });
}

#[test]
fn an_end_that_somebody_else_has_reaped_is_said_to_be() {
    in_a_program("an_end_that_somebody_else_has_reaped_is_said_to_be", |transport| {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        let pool = pool_by(transport, 1);
        let outcome = pool.apply(|_: u32| std::process::abort(), 0).map(|(): ()| ());
        let Err(TaskError::WorkerLost { loss, .. }) = &outcome else { panic!("{outcome:?}") };
        assert!(loss.reaped_by_others && loss.signal.is_none() && loss.code.is_none());
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("reaped by somebody else") && error.contains("SIGCHLD"), "{error}");
        assert_eq!(pool.apply(common::square, 3).unwrap(), 9);
    });
}
