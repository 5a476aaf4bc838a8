//! A program, and a folder to run it in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::running::{Ended, Running};

/// A program, and a folder of its own to run it in, which is removed at the end.
#[derive(Debug)]
pub struct Workplace {
    program: PathBuf,
    folder: TempDir,
    temporary: TempDir,
}

impl Workplace {
    /// An empty folder for the program at `program`.
    pub fn new(program: &str) -> Self {
        let new = || tempfile::tempdir().expect("a temporary folder can be made");
        Self { program: program.into(), folder: new(), temporary: new() }
    }

    /// The program's name, which precedes its lines on stderr.
    pub fn name(&self) -> String {
        self.program.file_name().expect("a file").to_string_lossy().into_owned()
    }

    /// The path of the file `name` in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The contents of the file `name`.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The files in the folder with their contents, which are empty for folders.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files_in(self.folder.path())
    }

    /// Starts the program with arguments that are separated by spaces, in a process group of its
    /// own.
    pub fn start(&self, arguments: &str) -> Running {
        self.start_to(arguments, Stdio::piped())
    }

    /// Starts the program with standard output going to `out`.
    pub fn start_to(&self, arguments: &str, out: impl Into<Stdio>) -> Running {
        let folder = self.folder();
        let child = Command::new(&self.program)
            .args(arguments.split_whitespace())
            .current_dir(&folder)
            .env("TMPDIR", self.temporary.path())
            .env("RUST_BACKTRACE", "1")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        Running::new(child, &folder)
    }

    /// Waits for the end of a run, and checks that it leaves nothing but its files.
    pub fn end(&self, running: Running) -> Ended {
        let ended = running.end();
        assert!(ended.segments.is_empty(), "left in shared memory: {ended:?}");
        let left = files_in(self.temporary.path());
        assert!(left.is_empty(), "temporary files are left: {left:?}, {ended:?}");
        ended
    }

    /// Runs the program to its end, and checks that it leaves nothing but its files.
    pub fn run(&self, arguments: &str) -> Ended {
        self.end(self.start(arguments))
    }

    /// The output of a successful run with `--json`: one object on stdout and nothing on stderr.
    pub fn report<T: DeserializeOwned>(&self, arguments: &str) -> T {
        self.reported(self.start(&format!("{arguments} --json")))
    }

    /// As [`report`](Self::report), for a program that is already running.
    pub fn reported<T: DeserializeOwned>(&self, running: Running) -> T {
        let ended = self.end(running);
        assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "{ended:?}");
        let line = ended.out.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains('\n'), "more than one line: {}", ended.out);
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// Runs the program with wrong arguments, and checks that it exits with code 2, prints nothing
    /// on stdout and touches no file. Returns the line on stderr, without the program's name before
    /// it.
    pub fn refusal(&self, arguments: &str) -> String {
        self.failure(arguments, 2)
    }

    /// As [`refusal`](Self::refusal), with another exit code.
    pub fn failure(&self, arguments: &str, code: i32) -> String {
        let stamps = |files: &BTreeMap<String, _>| -> Vec<_> {
            files.keys().map(|name| modified(&self.path(name))).collect()
        };
        let before = self.files();
        let written = stamps(&before);
        let ended = self.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{arguments}: {ended:?}");
        assert_eq!(self.files(), before, "{arguments}");
        assert_eq!(stamps(&before), written, "{arguments}");
        let line = ended.err.strip_prefix(&format!("{}: ", self.name()));
        let line = line.and_then(|line| line.strip_suffix('\n'));
        let line = line.filter(|line| !line.contains('\n'));
        line.unwrap_or_else(|| panic!("{arguments}: not one line: {}", ended.err)).to_owned()
    }

    /// The path of the folder without links, as the system shows it.
    pub(crate) fn folder(&self) -> PathBuf {
        fs::canonicalize(self.folder.path()).expect("the folder is there")
    }
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).and_then(|file| file.modified()).expect("the file is there")
}

fn files_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    entries
        .map(|entry| {
            let entry = entry.expect("the folder can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect()
}
