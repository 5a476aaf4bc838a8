//! However the master ends, its workers end, and nothing of the farm is left.

farm_process::init_before_main!();

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::time::{Duration, Instant};

use common::{Folder, kill, part, pid, play, pool, state_of, wait_for_end_of, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use farm_shm::SharedArray;
use rustix::process::Signal;

const WORKERS: usize = 3;

/// A task that prints the id of its process and never ends; with `stop`, it also stops its process.
fn say_and_stay(stop: bool) {
    // The line is written in one piece, since several workers write at once.
    let line = format!("worker {}\n", pid(()));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if stop {
        kill(pid(()), Signal::STOP);
    }
    common::stay(());
}

/// Plays a master that ends in the way that `part` says, once a byte arrives on stdin.
fn end_as(part: &str) {
    // Programs in the background of a shell may have been started with Ctrl-C ignored. SAFETY: no
    // handler is installed.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
    let stop = part.ends_with("with_stopped_workers");
    let pool = pool(WORKERS);
    let array = SharedArray::<f64, _>::zeros(1000).unwrap();
    // All workers except the last are busy.
    let busy: Vec<_> = (1..WORKERS).map(|_| pool.submit(say_and_stay, stop)).collect();
    std::io::stdin().read_exact(&mut [0]).unwrap();
    match part.split(' ').next().unwrap() {
        "return" => {
            std::mem::forget((pool, array));
            return;
        }
        "drop" => drop((pool, array)),
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "panic" => {
            // The panic hook is not called: its message would be right, but this test could not
            // tell it from a complaint of a worker.
            std::panic::resume_unwind(Box::new("the end"));
        }
        _ => loop {
            std::thread::park();
        },
    }
    drop(busy);
}

#[test]
fn nothing_survives_the_master() {
    let name = "nothing_survives_the_master";
    if let Some(part) = part() {
        return end_as(&part);
    }
    guard(name, || {
        let ends = ["return", "drop", "exit", "abort", "panic", "SIGKILL", "SIGTERM", "SIGINT"];
        let stopped = ["exit", "SIGKILL"].map(|end| format!("{end} with_stopped_workers"));
        let mut times = Vec::new();
        for end in ends.into_iter().map(str::to_owned).chain(stopped) {
            let folder = Folder::new();
            let mut master = play(name, &end)
                .env("TMPDIR", &folder.0)
                .stdin(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let pid = master.id().cast_signed();
            let mut lines = BufReader::new(master.stderr.take().unwrap()).lines();
            let workers: Vec<i32> = (1..WORKERS)
                .map(|_| {
                    let line = lines.next().expect("a line").unwrap();
                    line.strip_prefix("worker ").expect("no other line").parse().unwrap()
                })
                .collect();
            if end.ends_with("with_stopped_workers") {
                wait_until(|| workers.iter().all(|worker| state_of(*worker) == Some('T')));
            }
            wait_until(|| children_of(pid).len() >= WORKERS);
            let idle_ones_too = children_of(pid);
            assert!(!left_in_shared_memory(pid).is_empty());

            let begin = Instant::now();
            match end.split(' ').next().unwrap() {
                "SIGKILL" => kill(pid, Signal::KILL),
                "SIGTERM" => kill(pid, Signal::TERM),
                "SIGINT" => kill(pid, Signal::INT),
                _ => master.stdin.take().unwrap().write_all(b"x").unwrap(),
            }
            master.wait().unwrap();
            workers.into_iter().chain(idle_ones_too).for_each(wait_for_end_of);
            times.push(format!("{end}: {:.1?}", begin.elapsed()));
            let complaints: Vec<_> = lines.map(Result::unwrap).collect();
            assert!(complaints.is_empty(), "{end}: {complaints:?}");
            assert_eq!(left_in_shared_memory(pid), [""; 0], "{end}");
            assert_eq!(folder.files(), [""; 0], "{end}");
        }
        eprintln!("to the last worker's end: {}", times.join(", "));
    });
}

fn children_of(pid: i32) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |child: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        parent == Some(&pid.to_string())
    };
    pids.filter(is_child).collect()
}

fn left_in_shared_memory(pid: i32) -> Vec<String> {
    let files = std::fs::read_dir("/dev/shm").unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&format!("farm-{pid}-"))).collect()
}

#[test]
fn a_master_that_is_killed_while_its_workers_come_up_leaves_none() {
    let name = "a_master_that_is_killed_while_its_workers_come_up_leaves_none";
    if part().is_some() {
        loop {
            let _ = Pool::builder().workers(4).build();
        }
    }
    guard(name, || {
        for n in 0..30 {
            let folder = Folder::new();
            let mut master = play(name, "master").env("TMPDIR", &folder.0).spawn().unwrap();
            let pid = master.id().cast_signed();
            wait_until(|| !children_of(pid).is_empty());
            std::thread::sleep(Duration::from_micros(500 * n));
            let workers = children_of(pid);
            master.kill().unwrap();
            let mut complaints = String::new();
            master.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
            master.wait().unwrap();
            assert_eq!(complaints, "");
            workers.into_iter().for_each(wait_for_end_of);
            // At most one file of a start may be left in the folder for temporary files.
            assert!(folder.files().len() <= 1, "{:?}", folder.files());
        }
    });
}

#[test]
fn a_stopped_master_stops_its_busy_workers_and_all_go_on_together() {
    fn spin(folder: std::path::PathBuf) -> u64 {
        common::take_number(&folder);
        let end = Instant::now() + Duration::from_secs(2);
        let mut n = 0;
        while Instant::now() < end {
            n += 1;
        }
        n
    }
    let name = "a_stopped_master_stops_its_busy_workers_and_all_go_on_together";
    if let Some(folder) = part() {
        // Both limits are shorter than the time for which everything is stopped, but the farm's own
        // clock does not count that time.
        let pool = Pool::builder().workers(2).timeout(Duration::from_secs(4));
        let pool = pool.stopped_after(Duration::from_secs(3)).build().unwrap();
        let spins = pool.map(spin, vec![folder.into(); 4]).unwrap();
        assert!(spins.into_iter().all(|n| n > 0));
        assert_eq!(pool.stats().workers_lost, 0);
        return;
    }
    guard(name, || {
        let folder = Folder::new();
        let mut master = play(name, folder.0.to_str().unwrap()).spawn().unwrap();
        let pid = master.id().cast_signed();
        wait_until(|| folder.files().len() == 2);
        let workers = children_of(pid);
        assert_eq!(workers.len(), 2);
        // Ctrl-Z sends SIGTSTP, but that is ignored if the tests do not run in a terminal.
        kill(pid, Signal::STOP);
        wait_until(|| workers.iter().all(|worker| state_of(*worker) == Some('T')));
        std::thread::sleep(Duration::from_secs(5));
        kill(pid, Signal::CONT);
        let mut complaints = String::new();
        master.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert!(master.wait().unwrap().success(), "{complaints}");
        assert_eq!(complaints, "");
    });
}
