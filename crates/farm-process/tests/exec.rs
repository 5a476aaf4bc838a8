//! A program that becomes another (exec): its workers end, and its shared arrays are removed.

farm_process::init_before_main!();

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use common::{TRANSPORTS, part, pid, play, pool_by, wait_for_end_of, wait_until};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_shm::SharedArray;

/// A task that prints the id of its process, and then runs without end.
fn spin(_: u32) {
    eprintln!("worker {}", std::process::id());
    loop {
        std::hint::spin_loop();
    }
}

fn files_of(pid: i32) -> Vec<String> {
    let files = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let names = files.map(|file| file.file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(&format!("farm-{pid}-"))).collect()
}

/// Plays a program with two workers, one of them busy, and two arrays, which becomes `other` when
/// it is told to.
fn become_another(transport: usize, other: &mut Command) {
    let pool = pool_by(TRANSPORTS[transport], 2);
    let _arrays = [(); 2].map(|()| SharedArray::<f64, _>::zeros(1000).unwrap());
    wait_until(|| pool.processes().len() == 2);
    let idle = pool.apply(pid, ()).unwrap();
    let _busy = pool.submit(spin, 0);
    let other_one = pool.apply(pid, ()).unwrap();
    eprintln!("workers {idle} {other_one}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
    panic!("it is still this program: {}", other.exec());
}

/// Tells the program to become the other, and waits until its workers have ended.
fn waits_for_workers(mut master: Child) -> (Child, i32) {
    let pid = master.id().cast_signed();
    let mut lines = BufReader::new(master.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut workers = Vec::new();
    while !lines.next().expect("it says who works").split(' ').skip(1).any(|number| {
        workers.push(number.parse().unwrap());
        workers.len() == 3
    }) {}
    assert_eq!(files_of(pid).len(), 3);
    drop(master.stdin.take().map(|mut stdin| std::io::Write::write_all(&mut stdin, b"now\n")));
    workers.into_iter().for_each(wait_for_end_of);
    (master, pid)
}

#[test]
fn a_program_that_becomes_another_leaves_no_workers_and_no_arrays() {
    let name = "a_program_that_becomes_another_leaves_no_workers_and_no_arrays";
    if let Some(transport) = part() {
        become_another(transport.parse().unwrap(), Command::new("sleep").arg("1000"));
    }
    guard(name, || {
        for transport in 0..2 {
            let mut master = play(name, &transport.to_string());
            let (mut master, pid) =
                waits_for_workers(master.stdin(Stdio::piped()).spawn().unwrap());
            wait_until(|| files_of(pid).is_empty());
            assert!(master.try_wait().unwrap().is_none(), "it lives");
            master.kill().unwrap();
            master.wait().unwrap();
        }
    });
}

#[test]
fn arrays_that_the_other_program_makes_stay() {
    let name = "arrays_that_the_other_program_makes_stay";
    match part().as_deref() {
        Some("again") => {
            let array = SharedArray::<f64, _>::zeros(1000).unwrap();
            wait_until(|| files_of(pid(())).len() == 2);
            // The workers of the former program do not live as long as this.
            std::thread::sleep(std::time::Duration::from_secs(1));
            assert_eq!(files_of(pid(())).len(), 2, "the array and its lock");
            drop(array);
            assert_eq!(files_of(pid(())), [""; 0]);
            return;
        }
        Some(transport) => {
            let mut again = play(name, "again");
            become_another(
                transport.parse().unwrap(),
                again.stdout(Stdio::null()).stderr(Stdio::null()),
            )
        }
        None => {}
    }
    guard(name, || {
        for transport in 0..2 {
            let mut master = play(name, &transport.to_string());
            let (mut master, _) = waits_for_workers(master.stdin(Stdio::piped()).spawn().unwrap());
            assert!(master.wait().unwrap().success());
        }
    });
}
