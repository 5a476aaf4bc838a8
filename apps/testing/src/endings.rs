//! The ways in which a run of any program ends early.

use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::chaos::Report;
use crate::left;
use crate::running::{Ended, Running};
use crate::workplace::Workplace;

/// The pools, and whether their workers are processes.
const POOLS: [(&str, bool); 3] = [("mono", false), ("rayon", false), ("process", true)];
const WORKERS: usize = 3;

/// The signals that end a run, with the exit code and the message of each.
const SIGNALS: [(Signal, i32, &str); 2] =
    [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")];

/// The least time for which a program is stopped.
const PAUSE: Duration = Duration::from_secs(2);

/// Starts a run that would take practically for ever.
fn start(place: &Workplace, long_run: &str, pool: &str, workers: usize) -> Running {
    std::fs::write(place.path("old.npy"), "old").expect("a file can be written");
    place.start(&format!("{long_run} --backend {pool} --workers {workers} --output old.npy"))
}

/// Sends SIGINT and SIGTERM in the middle of a run, on every pool. The program must end with the
/// exit code of the signal and one line, with the old file unchanged and nothing else left.
pub fn a_signal_ends_all(program: &str, long_run: &str) {
    // A terminal sends SIGINT to the whole process group, and `timeout` does so with SIGTERM.
    let ways: [fn(&Running, Signal); 2] = [Running::send, Running::send_to_group];
    for (pool, has_processes) in POOLS {
        for (signal, code, word) in SIGNALS {
            for send in ways {
                let place = Workplace::new(program);
                let mut running = start(&place, long_run, pool, WORKERS);
                running.wait_until_under_way(if has_processes { WORKERS } else { 0 });
                send(&running, signal);
                let ended = place.end(running);
                is_the_end(&place, &ended, code, word);
            }
        }
    }
}

/// Sends the signals as early as possible: the first array exists, and workers are starting.
pub fn a_signal_while_starting(program: &str, long_run: &str) {
    for (signal, code, word) in SIGNALS {
        let place = Workplace::new(program);
        let mut running = start(&place, long_run, "process", WORKERS);
        running.wait_until("it had an array", |it| !left::segments_of(it.pid()).is_empty());
        running.send(signal);
        let ended = place.end(running);
        is_the_end(&place, &ended, code, word);
    }
}

fn is_the_end(place: &Workplace, ended: &Ended, code: i32, word: &str) {
    assert_eq!((ended.code, ended.out.as_str()), (Some(code), ""), "{ended:?}");
    assert_eq!(ended.err, format!("{}: {word}\n", place.name()));
    assert_eq!(place.files().into_iter().collect::<Vec<_>>(), [("old.npy".into(), b"old".into())]);
}

/// Sends SIGKILL, which cannot be caught: the workers end with the program, and remove what it has
/// left.
///
/// The test is repeated, because it matters which workers run a task at that moment and which are
/// between two tasks.
pub fn a_kill_ends_the_workers(program: &str, long_run: &str) {
    for workers in (1..=WORKERS).cycle().take(15) {
        kill_in_the_middle(program, long_run, workers, |_| {});
    }
}

/// Sends SIGKILL while all workers are stopped.
pub fn a_kill_ends_stopped_workers(program: &str, long_run: &str) {
    kill_in_the_middle(program, long_run, WORKERS, |running| {
        for worker in running.workers().into_iter().filter_map(Pid::from_raw) {
            kill_process(worker, Signal::STOP).expect("the worker lives");
        }
        running.wait_until_workers_are("T");
    });
}

fn kill_in_the_middle(program: &str, long_run: &str, workers: usize, prepare: fn(&mut Running)) {
    let place = Workplace::new(program);
    let mut running = start(&place, long_run, "process", workers);
    running.wait_until_under_way(workers);
    prepare(&mut running);
    let ends: Vec<_> = running.workers().into_iter().filter_map(left::end_of).collect();
    assert_eq!(ends.len(), workers);
    running.send(Signal::KILL);
    assert!(ends.iter().all(left::wait), "a worker outlives its program");
    let ended = place.end(running);
    assert_eq!((ended.code, ended.out, ended.err), (None, String::new(), String::new()));
}

/// Stops a program for a while, as Ctrl-Z does, and lets it continue: its workers come to rest
/// meanwhile, no worker is lost, and the result is the same.
///
/// `state` is the state of workers at rest. It is `T` (stopped) for a run whose tasks take a second
/// or more, because a worker checks several times a second whether its master is stopped, and stops
/// too. It is `S` (sleeping) if tasks are short.
pub fn a_pause_changes_nothing(program: &str, run: &str, state: &str) {
    let [place, other] = [(); 2].map(|()| Workplace::new(program));
    let mut running = place.start(&format!("{run} --backend process --workers 2 --json"));
    running.wait_until_under_way(2);
    running.stop();
    let stopped = Instant::now();
    running.wait_until_workers_are(state);
    let undisturbed: Report = other.report(&format!("{run} --backend rayon --workers 2"));
    thread::sleep(PAUSE.saturating_sub(stopped.elapsed()));
    assert!(running.workers_are(state), "a worker has gone on");
    running.send(Signal::CONT);
    let report: Report = place.reported(running);
    assert_eq!(report.checksum, undisturbed.checksum);
    assert_eq!((report.workers_lost, report.retries), (0, 0));
}

/// Kills a worker at work, which ends the run with exit code 1 and one line about it.
pub fn a_lost_worker_is_one_line(program: &str, long_run: &str) {
    let place = Workplace::new(program);
    let mut running = start(&place, long_run, "process", WORKERS);
    running.wait_until_under_way(WORKERS);
    // If the killed worker is idle at that moment, it is replaced and the run continues. Workers
    // that have not opened an array yet are spared: if no worker ever starts, the pool fails for
    // that reason.
    while !running.has_ended() {
        for worker in running.at_work().into_iter().take(1).filter_map(Pid::from_raw) {
            let end = left::end_of(worker.as_raw_pid());
            let _ = kill_process(worker, Signal::KILL);
            assert!(end.is_none_or(|end| left::wait(&end)), "a worker cannot be killed");
        }
    }
    let ended = place.end(running);
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.starts_with(&format!("{}: ", place.name())), "{}", ended.err);
    assert!(ended.err.contains("SIGKILL") && ended.err.ends_with('\n'), "{}", ended.err);
    assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    assert_eq!(place.files().into_iter().collect::<Vec<_>>(), [("old.npy".into(), b"old".into())]);
}
