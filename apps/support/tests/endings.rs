//! How a program ends: its exit code, its output on stderr and stdout, and the files that it
//! leaves.
//!
//! The program is the example `sample`, which `cargo test` builds beside the tests.

use std::fs;
use std::io::{BufRead, BufReader, pipe};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

fn sample(arguments: &[&str]) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().with_file_name("examples").join("sample");
    assert!(program.exists(), "build it first: cargo build -p app-support --example sample");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Exit code, stdout, stderr.
fn ended(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    ended(sample(arguments).output().unwrap())
}

fn refused(line: &str) -> (Option<i32>, String, String) {
    (Some(2), String::new(), format!("sample: {line}\n"))
}

/// Waits until the program prints what it is doing.
fn wait_for(child: &mut Child, word: &str) {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim_end(), word);
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The end of a program that was told to end; the program is killed if it does not end in time.
fn end_of(mut child: Child) -> (Option<i32>, String, String) {
    // A process that has been reaped already has no pidfd.
    if let Ok(pidfd) = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit)) != Ok(1) {
            child.kill().unwrap();
        }
    }
    ended(child.wait_with_output().unwrap())
}

fn names(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
}

#[test]
fn wrong_arguments_are_one_line_and_exit_code_2() {
    let range = "must be a whole number from 1 to 1000 (see --help)";
    assert_eq!(run(&["--steps", "0"]), refused(&format!("--steps 0: {range}")));
    assert_eq!(
        run(&["--backend", "gpu"]),
        refused("--backend gpu: must be one of mono, process, rayon (see --help)")
    );
}

#[test]
fn wrong_arguments_touch_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steps.npy");
    let path = file.to_str().unwrap();
    assert_eq!(run(&["--output", path, "--steps", "0"]).0, Some(2));
    assert_eq!(
        run(&["--output", path, "--picture", path]),
        refused(&format!("--picture {path}: must be another file than that of --output"))
    );
    let missing = format!("{path}/no/steps.png");
    assert_eq!(run(&["--output", path, "--picture", &missing]).0, Some(2));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn help_and_version_go_to_stdout() {
    let (code, help, nothing) = run(&["--help"]);
    assert_eq!((code, nothing.as_str()), (Some(0), ""));
    assert!(help.contains("--steps") && help.contains("[default: 10]"));
    let version = format!("sample {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), version, String::new()));
}

#[test]
fn a_failed_run_is_one_line_and_exit_code_1() {
    let line = "sample: there is nothing\\nto be done\n".to_owned();
    assert_eq!(run(&["--act", "fail"]), (Some(1), String::new(), line));
}

#[test]
fn json_is_one_object_on_stdout_and_nothing_else() {
    let (code, out, err) = run(&["--json", "--steps", "3"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("{\"steps\":3,\"checksum\":\"") && out.ends_with("\"}\n"));
    assert_eq!(out.lines().count(), 1);
}

#[test]
fn a_reader_of_stdout_that_went_away_is_no_failure() {
    for arguments in [&["--json"][..], &["--help"], &["--version"]] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let output = sample(arguments).stdout(writer).output().unwrap();
        assert_eq!(ended(output), (Some(0), String::new(), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_full_stdout_is_told() {
    for arguments in [&["--json"][..], &["--help"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, _, line) = ended(sample(arguments).stdout(full).output().unwrap());
        assert_eq!(code, Some(1));
        assert!(line.starts_with("sample: standard output: No space left on device"), "{line}");
    }
}

#[test]
fn the_exit_code_is_right_when_nobody_reads_stderr() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    assert_eq!(sample(&["--steps", "0"]).stderr(writer).status().unwrap().code(), Some(2));
}

#[test]
fn output_files_and_nothing_else_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let (numbers, picture) = (folder.path().join("a.npy"), folder.path().join("a.png"));
    let arguments = ["--output", numbers.to_str().unwrap(), "--picture", picture.to_str().unwrap()];
    assert_eq!(run(&arguments), (Some(0), String::new(), String::new()));
    assert_eq!(names(folder.path()).len(), 2);
    assert!(fs::read(&numbers).unwrap().starts_with(b"\x93NUMPY"));
    assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn output_goes_to_stdout_as_to_a_pipe_and_after_what_a_file_holds() {
    let piped = sample(&["--output", "/dev/stdout"]).output().unwrap();
    assert_eq!(piped.status.code(), Some(0));
    assert!(piped.stdout.starts_with(b"\x93NUMPY"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    fs::write(&file, "before").unwrap();
    let appending = fs::OpenOptions::new().append(true).open(&file).unwrap();
    let status = sample(&["--output", "/dev/stdout"]).stdout(appending).status().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(fs::read(&file).unwrap().starts_with(b"before\x93NUMPY"));
    assert_eq!(names(folder.path()), [Path::new("log")]);
}

#[test]
fn a_signal_ends_the_program_with_its_code_and_one_line() {
    for (signal, code, word) in
        [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")]
    {
        let mut child = sample(&["--act", "panic-while-cleaning"]).spawn().unwrap();
        wait_for(&mut child, "running");
        send(&child, signal);
        let (ended, _, said) = end_of(child);
        assert_eq!(ended, Some(code));
        // The message of the panic comes first.
        assert!(said.ends_with(&format!("sample: {word}\n")), "{said}");
    }
}

#[test]
fn a_signal_in_the_middle_of_writing_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steps.npy");
    fs::write(&file, "old").unwrap();
    let arguments = ["--act", "stall-while-writing", "--output", file.to_str().unwrap()];
    let mut child = sample(&arguments).spawn().unwrap();
    wait_for(&mut child, "writing");
    assert_eq!(names(folder.path()).len(), 2);
    send(&child, Signal::INT);
    assert_eq!(end_of(child), (Some(130), String::new(), "sample: interrupted\n".into()));
    assert_eq!(names(folder.path()), [Path::new("steps.npy")]);
    assert_eq!(fs::read(&file).unwrap(), b"old");
}

#[test]
fn a_failure_that_the_cleaning_caused_is_not_told() {
    let mut child = sample(&["--act", "fail-while-cleaning"]).spawn().unwrap();
    wait_for(&mut child, "running");
    send(&child, Signal::TERM);
    assert_eq!(end_of(child), (Some(143), String::new(), "sample: terminated\n".into()));
}

#[test]
fn a_signal_that_is_sent_twice_at_once_is_one_signal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("steps.npy");
    let arguments = ["--act", "stall-while-writing", "--output", file.to_str().unwrap()];
    let mut child = sample(&arguments).spawn().unwrap();
    wait_for(&mut child, "writing");
    send(&child, Signal::TERM);
    send(&child, Signal::TERM);
    assert_eq!(end_of(child), (Some(143), String::new(), "sample: terminated\n".into()));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_second_signal_ends_a_program_that_cleans_for_ever() {
    let mut child = sample(&["--act", "stall-while-cleaning"]).spawn().unwrap();
    wait_for(&mut child, "running");
    send(&child, Signal::TERM);
    wait_for(&mut child, "cleaning");
    while child.try_wait().unwrap().is_none() {
        send(&child, Signal::INT);
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(end_of(child), (Some(130), String::new(), String::new()));
}
