//! The segments of shared arrays: removed, very large, too large, left behind, or owned by another
//! process.

farm_process::init_before_main!();

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{Group, is_usable, kill, part, play, pool, wait_for_end_of, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::Stage;
use farm_core::prelude::*;
use farm_shm::{ArrayRef, Band, Overwrite, SharedArray, ShmError};
use ndarray::Ix1;
use rustix::process::Signal;

fn sum(array: ArrayRef<u8, Ix1>) -> u64 {
    array.view().iter().map(|x| u64::from(*x)).sum()
}

#[test]
fn an_array_whose_segment_is_gone_is_an_error_of_its_task() {
    let name = "an_array_whose_segment_is_gone_is_an_error_of_its_task";
    if part().is_some() {
        let pool = pool(1);
        let array = SharedArray::<u8, _>::zeros(100).unwrap().freeze();
        farm_shm::remove_all();
        let error = pool.apply(sum, array.clone()).unwrap_err();
        assert!(matches!(error, TaskError::Decode { stage: Stage::Argument, .. }), "{error}");
        assert!(error.to_string().contains("farm-"), "it names the segment: {error}");
        is_usable(&pool);
        assert_eq!(array.view().len(), 100, "the master has it still");
        return;
    }
    guard("gone", || ends_well(play(name, "master")));
}

#[test]
fn rows_beyond_four_gib_are_reached() {
    const LENGTH: usize = (4 << 30) + 1000;
    fn fill_with_ones(mut band: Band<u8, Ix1>) -> Band<u8, Ix1> {
        band.view_mut().fill(1);
        band
    }
    guard("large", || {
        let array = match SharedArray::<u8, _>::zeros(LENGTH) {
            Ok(array) => array,
            Err(error @ ShmError::Full { .. }) => {
                eprintln!("not tried: {error}");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let pool = pool(1);
        let (split, bands) = array.split([100..200, LENGTH - 500..LENGTH]).unwrap();
        let array = split.join(pool.map(fill_with_ones, bands).unwrap()).unwrap().freeze();
        let ends = [array.clone().slice(0..1000), array.slice(LENGTH - 1000..LENGTH)];
        assert_eq!(pool.map(sum, ends).unwrap(), [100, 500]);
    });
}

/// How many page faults without disk access this process has had. Source: proc_pid_stat(5), field
/// 10.
fn faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    after_name.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// A task that fills a band, and returns how many page faults that took.
fn fill_and_count_faults(band: Overwrite<u8, Ix1>) -> (Band<u8, Ix1>, u64) {
    let mut band = band.into_band();
    let before = faults();
    band.view_mut().fill(1);
    (band, faults() - before)
}

/// Whether the kernel can populate many pages in one call, as it can from version 5.14 on.
fn gets_many_pages() -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release.split(['.', '-']).map_while(|n| n.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(5), Some(14))
}

#[test]
fn rows_to_overwrite_reach_their_task_with_all_of_their_pages() {
    const LENGTH: usize = 64 << 20;
    if !gets_many_pages() {
        eprintln!("not tried: the kernel is too old");
        return;
    }
    guard("pages", || {
        let pool = pool(1);
        let array = SharedArray::<u8, _>::zeros(LENGTH).unwrap();
        let (split, bands) = array.split([0..LENGTH / 2 + 1, LENGTH / 2 + 1..LENGTH]).unwrap();
        let tasks = bands.into_iter().map(Band::overwrite);
        let (bands, faults): (Vec<_>, Vec<_>) =
            pool.map(fill_and_count_faults, tasks).unwrap().into_iter().unzip();
        assert!(split.join(bands).unwrap().view().iter().all(|x| *x == 1));
        let pages = LENGTH / 2 / rustix::param::page_size();
        assert!(faults.iter().all(|n| *n < pages as u64 / 10), "{faults:?} of {pages} pages");
    });
}

/// Runs a command as the first process of a new namespace; `None` if this process may not do that.
fn isolated(options: &[&str], command: &Command) -> Option<Command> {
    let may = Command::new("unshare").args(options).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        eprintln!("not tried: this needs the right to run unshare {options:?}");
        return None;
    }
    let mut isolated = Command::new("unshare");
    isolated.args(options).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        value.map(|value| isolated.env(name, value));
    }
    isolated.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(isolated)
}

fn ends_well(mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Plays an owner: makes an array, prints its path on stderr, and ends when the test closes its
/// stdin.
fn own_and_stay() {
    let array = SharedArray::<u8, _>::zeros(100).unwrap();
    eprintln!("at {}", array.describe().path.display());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Starts a process that plays an owner, and waits until its array exists.
fn owner(mut command: Command) -> (Child, String) {
    let mut owner = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stderr.take().unwrap()).lines().map(Result::unwrap);
    let path = lines.find_map(|line| Some(line.strip_prefix("at ")?.to_owned())).unwrap();
    // Nothing reads its later output, which is discarded.
    std::thread::spawn(move || lines.for_each(drop));
    (owner, path)
}

fn lock_of(path: &str) -> String {
    format!("{}-lock", path.rsplit_once('-').unwrap().0)
}

/// Makes pools until an array and its owner's lock are removed. More than one may be needed, since
/// the pool of another test may be sweeping the same files at this moment.
fn sweep_away(path: &str) {
    wait_until(|| {
        drop(pool(1));
        !Path::new(path).exists() && !Path::new(&lock_of(path)).exists()
    });
}

#[test]
fn what_is_left_when_nobody_survives_is_swept_by_the_next_pool() {
    let name = "what_is_left_when_nobody_survives_is_swept_by_the_next_pool";
    match part().as_deref() {
        Some("alone") => return own_and_stay(),
        Some(_) => {
            let pool = pool(2);
            wait_until(|| pool.processes().len() == 2);
            for process in pool.processes() {
                eprintln!("worker {}", process.pid);
            }
            return own_and_stay();
        }
        None => {}
    }
    guard("sweep", || {
        for part in ["alone", "with workers"] {
            let mut command = play(name, part);
            let mut master = command.stdin(Stdio::piped()).spawn().unwrap();
            let pid = master.id().cast_signed();
            let mut workers = Vec::new();
            let mut path = None;
            for line in BufReader::new(master.stderr.take().unwrap()).lines() {
                let line = line.unwrap();
                if let Some(worker) = line.strip_prefix("worker ") {
                    workers.push(worker.parse::<i32>().unwrap());
                }
                if let Some(at) = line.strip_prefix("at ") {
                    path = Some(at.to_owned());
                    break;
                }
            }
            let path = path.unwrap();
            assert_eq!(workers.len(), if part == "alone" { 0 } else { 2 });
            // A stopped master does not replace its workers.
            kill(pid, Signal::STOP);
            wait_until(|| common::state_of(pid) == Some('T'));
            workers.iter().for_each(|worker| kill(*worker, Signal::KILL));
            workers.iter().for_each(|worker| wait_for_end_of(*worker));
            drop(pool(1));
            assert!(Path::new(&path).exists(), "its owner is stopped, and lives");
            kill(pid, Signal::KILL);
            master.wait().unwrap();
            assert!(Path::new(&path).exists() && Path::new(&lock_of(&path)).exists());
            sweep_away(&path);
        }
    });
}

#[test]
fn an_owner_in_another_container_is_told_from_a_dead_one() {
    let name = "an_owner_in_another_container_is_told_from_a_dead_one";
    if part().is_some() {
        return own_and_stay();
    }
    guard("container", || {
        let options = ["--pid", "--fork", "--kill-child", "--mount-proc"];
        let Some(command) = isolated(&options, &play(name, "owner")) else { return };
        let (mut owner, path) = owner(command);
        assert!(path.starts_with("/dev/shm/farm-1-"), "{path}: its process id means nothing here");
        drop(pool(1));
        assert!(Path::new(&path).exists(), "it lives");
        owner.kill().unwrap();
        owner.wait().unwrap();
        // The lock is released when the process has ended, which is a moment after its parent.
        sweep_away(&path);
    });
}

#[test]
fn a_fork_of_the_program_removes_nothing_of_it() {
    let name = "a_fork_of_the_program_removes_nothing_of_it";
    if part().is_some() {
        let [array, other] = [(); 2].map(|()| SharedArray::<u8, _>::zeros(10).unwrap());
        let paths = [&array, &other].map(|array| array.describe().path);
        // SAFETY: the child calls only what needs no other thread.
        match unsafe { libc::fork() } {
            0 => {
                drop(array);
                let own = SharedArray::<u8, _>::zeros(10).unwrap();
                let path = own.describe().path;
                let was_there = path.exists();
                drop(own);
                let is_gone = !path.exists();
                farm_shm::remove_all();
                // SAFETY: the call ends the process, and does nothing else.
                unsafe { libc::_exit(if was_there && is_gone { 0 } else { 1 }) }
            }
            child => {
                let mut status = 0;
                // SAFETY: the pointer leads to a value that outlives the call.
                unsafe { libc::waitpid(child, &mut status, 0) };
                assert_eq!(status, 0, "the child has ended well");
            }
        }
        drop(pool(1));
        assert!(paths.iter().all(|path| path.exists()));
        drop((array, other));
        assert!(!paths.iter().any(|path| path.exists()));
        assert!(!Path::new(&lock_of(paths[0].to_str().unwrap())).exists());
        return;
    }
    guard("fork", || ends_well(play(name, "master")));
}

#[test]
fn a_tiny_shared_memory_file_system_is_told_with_both_sizes_and_used_to_the_full() {
    const MOST: usize = 700_000;
    type Rows = Band<u8, Ix1>;
    fn fill(mut band: Rows) -> Rows {
        band.view_mut().fill(7);
        band
    }
    fn write(rows: farm_shm::Overwrite<u8, Ix1>) -> Rows {
        rows.fill_with(|_| 7)
    }
    let name = "a_tiny_shared_memory_file_system_is_told_with_both_sizes_and_used_to_the_full";
    if part().is_some() {
        let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"];
        assert!(Command::new("mount").args(mount).status().unwrap().success());
        let zeros = SharedArray::<u8, Ix1>::zeros;
        let is_full = |error: ShmError, bytes: usize| {
            let ShmError::Full { bytes: needed, available, .. } = error else { panic!("{error}") };
            assert!(needed == bytes && available < bytes as u64, "{error}");
            let text = error.to_string();
            assert!(text.contains("are needed and") && text.contains("--shm-size"), "{text}");
        };
        is_full(zeros(2_000_000).unwrap_err(), 2_000_000);
        let pool = pool(2);
        is_usable(&pool);
        let array = zeros(MOST).unwrap();
        is_full(zeros(MOST).unwrap_err(), MOST);

        // There is no room to save the old rows. Rows that are only written need none.
        let retried = || TaskOptions::new().retries(1);
        let (split, bands) = array.split([0..MOST / 2, MOST / 2..MOST]).unwrap();
        let [front, back] = <[Rows; 2]>::try_from(bands).unwrap();
        let back = pool.submit_with(retried(), write, back.overwrite()).get().unwrap();
        let error = pool.submit_with(retried(), fill, front).get().unwrap_err();
        assert!(matches!(error, TaskError::Encode { stage: Stage::Argument, .. }), "{error}");
        assert!(error.to_string().contains("unless they are an Overwrite"), "{error}");
        drop(back);
        let recovered = split.recover().unwrap();
        assert!(recovered.torn.is_empty());
        let (front, back) = recovered.array.view().split_at(ndarray::Axis(0), MOST / 2);
        assert!(front.iter().all(|x| *x == 0) && back.iter().all(|x| *x == 7));
        drop(recovered);

        // The memory of dropped arrays is available again at once, even if workers had them open.
        for _ in 0..30 {
            let (split, bands) = zeros(MOST).unwrap().split(pool.distribute(MOST)).unwrap();
            split.join(pool.map(fill, bands).unwrap()).unwrap();
        }
        drop(pool);
        assert_eq!(Path::new("/dev/shm").read_dir().unwrap().count(), 0, "something is left");
        return;
    }
    guard("tiny", || {
        let mut command = play(name, "master");
        command.env("container", "test");
        if let Some(command) = isolated(&["--mount"], &command) {
            ends_well(command);
        }
    });
}

#[test]
fn an_array_that_the_control_group_has_no_memory_for_is_an_error_and_kills_nobody() {
    const LIMIT: u64 = 256 << 20;
    let name = "an_array_that_the_control_group_has_no_memory_for_is_an_error_and_kills_nobody";
    if let Some(group) = part() {
        Group::enter(&group);
        let error = SharedArray::<u8, _>::zeros(300 << 20).unwrap_err();
        assert!(matches!(error, ShmError::Full { available, .. } if available <= LIMIT));
        assert!(error.to_string().contains("control group"), "{error}");
        SharedArray::<u8, _>::zeros(100 << 20).unwrap().view_mut().fill(1);
        return;
    }
    let limit = |version| {
        let file = if version == 1 { "memory.limit_in_bytes" } else { "memory.max" };
        (file, LIMIT.to_string())
    };
    let Some(group) = Group::new("memory", limit) else {
        eprintln!("not tried: only the owner of a control group can limit its memory");
        return;
    };
    guard("group", || ends_well(play(name, &group.0)));
}
