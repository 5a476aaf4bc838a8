//! The surroundings of a program: a pool needs no folder for temporary files, and reports in one
//! line that it needs /proc.

farm_process::init_before_main!();

mod common;

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use common::{Folder, TRANSPORTS, builder_by, is_usable, part, play};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};

/// Uses a pool by each transport, and prints one line about the outcome.
#[allow(clippy::print_stdout, reason = "it is how the test hears of it")]
fn use_pools() {
    for transport in TRANSPORTS {
        match builder_by(transport, 2).initializer(drop, vec![7_u8; 1 << 20]).build() {
            Ok(pool) => {
                is_usable(&pool);
                pool.shutdown();
                println!("\nOUTCOME works");
            }
            Err(error) => println!("\nOUTCOME {}", error.to_string().replace('\n', "\\n")),
        }
    }
}

fn drop(_: Vec<u8>) {}

fn outcomes(output: &Output) -> Vec<String> {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{} {out} {err}", output.status);
    assert!(!err.contains("panicked"), "{err}");
    out.lines().filter_map(|line| line.strip_prefix("OUTCOME ").map(str::to_owned)).collect()
}

#[test]
fn a_pool_needs_no_folder_for_temporary_files() {
    let name = "a_pool_needs_no_folder_for_temporary_files";
    if part().is_some() {
        return use_pools();
    }
    guard(name, || {
        let long = format!("/{}", "long/".repeat(100));
        for folder in ["/nonexistent", "/proc", "/dev/null", "", &long] {
            let output = play(name, "master").env("TMPDIR", folder).output().unwrap();
            assert_eq!(outcomes(&output), ["works", "works"], "TMPDIR={folder}");
        }
        let folder = Folder::new();
        let output = play(name, "master").env("TMPDIR", &folder.0).output().unwrap();
        assert_eq!(outcomes(&output), ["works", "works"]);
        assert_eq!(folder.files(), [""; 0]);
    });
}

/// Runs `program` in a namespace of its own, after `command` in a shell; `None` if the system does
/// not allow that.
fn after(command: &str, program: &Command) -> Option<Output> {
    let may = Command::new("unshare").args(["-rm", "sh", "-c", command]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("no namespace for: {command}");
        return None;
    }
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh", "-c", &format!("{command} && exec \"$0\" \"$@\"")]);
    shell.arg(program.get_program()).args(program.get_args());
    for (key, value) in program.get_envs() {
        shell.env(key, value.unwrap_or_default());
    }
    Some(shell.output().unwrap())
}

#[test]
fn a_pool_works_where_nothing_can_be_written() {
    let name = "a_pool_works_where_nothing_can_be_written";
    if part().is_some() {
        return use_pools();
    }
    guard(name, || {
        let full = "mount -t tmpfs -o nr_inodes=1 none /tmp";
        let read_only = "mount -t tmpfs -o ro none /tmp && mount -t tmpfs -o ro none /dev/shm";
        for command in [full, read_only] {
            let Some(output) = after(command, &play(name, "master")) else { continue };
            assert_eq!(outcomes(&output), ["works", "works"], "{command}");
        }
    });
}

#[test]
fn a_program_that_nobody_may_look_into_has_pools_by_either_transport() {
    let name = "a_program_that_nobody_may_look_into_has_pools_by_either_transport";
    if part().is_some() {
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .expect("a process may say so of itself");
        return use_pools();
    }
    guard(name, || {
        // A user without privileges: root may look into every process.
        let mut program = play(name, "master");
        let is_root = geteuid().is_root();
        if is_root {
            program.uid(65_534).gid(65_534);
        }
        let output = program.output().unwrap();
        assert_eq!(outcomes(&output), ["works", "works"]);
    });
}

#[test]
fn without_proc_a_pool_says_so_in_one_line() {
    let name = "without_proc_a_pool_says_so_in_one_line";
    if part().is_some() {
        return use_pools();
    }
    guard(name, || {
        let Some(output) = after("mount -t tmpfs none /proc", &play(name, "master")) else {
            return;
        };
        let outcomes = outcomes(&output);
        assert_eq!(outcomes.len(), 2);
        for outcome in outcomes {
            assert!(outcome.contains("/proc") && !outcome.contains("\\n"), "{outcome}");
        }
    });
}
