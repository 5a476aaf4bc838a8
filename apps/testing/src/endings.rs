//! How a run ends before its time, for any program.

use rustix::process::{Pid, Signal, kill_process};

use crate::left;
use crate::running::{Ended, Running};
use crate::workplace::Workplace;

/// The pools, and whether their workers are processes.
const POOLS: [(&str, bool); 3] = [("mono", false), ("rayon", false), ("process", true)];
const WORKERS: usize = 3;

/// The signals that end a run, the exit code of each, and what it says.
const SIGNALS: [(Signal, i32, &str); 2] =
    [(Signal::INT, 130, "interrupted"), (Signal::TERM, 143, "terminated")];

/// Starts a run of three workers that would take for ever.
fn start(place: &Workplace, long_run: &str, pool: &str) -> Running {
    std::fs::write(place.path("old.npy"), "old").expect("a file can be written");
    place.start(&format!("{long_run} --backend {pool} --workers {WORKERS} --output old.npy"))
}

/// Ctrl-C and SIGTERM in the middle of a run, on every pool: the code of the signal, one line, the old
/// file, and nothing else left.
pub fn a_signal_ends_all(program: &str, long_run: &str) {
    for (pool, has_processes) in POOLS {
        for (signal, code, word) in SIGNALS {
            let place = Workplace::new(program);
            let mut running = start(&place, long_run, pool);
            running.wait_until_under_way(if has_processes { WORKERS } else { 0 });
            // A terminal sends Ctrl-C to the whole group.
            if signal == Signal::INT {
                running.send_to_group(signal);
            } else {
                running.send(signal);
            }
            let ended = place.end(running);
            is_the_end(&place, &ended, code, word);
        }
    }
}

/// The same at the first sign of life: the first array is there, and workers are coming up.
pub fn a_signal_while_starting(program: &str, long_run: &str) {
    for (signal, code, word) in SIGNALS {
        let place = Workplace::new(program);
        let mut running = start(&place, long_run, "process");
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

/// SIGKILL, which nobody can catch: the workers end with the program. Its arrays stay.
pub fn a_kill_ends_the_workers(program: &str, long_run: &str) {
    let place = Workplace::new(program);
    let mut running = start(&place, long_run, "process");
    running.wait_until_under_way(WORKERS);
    let workers: Vec<_> = running.workers().into_iter().filter_map(left::end_of).collect();
    assert_eq!(workers.len(), WORKERS);
    running.send(Signal::KILL);
    assert!(workers.iter().all(left::wait), "a worker outlives its program");
    let ended = running.end();
    assert_eq!((ended.code, ended.out, ended.err), (None, String::new(), String::new()));
    assert!(left::processes_in(&place.folder()).is_empty());
}

/// A worker that is killed at its work ends the run with exit code 1 and one line that says so.
pub fn a_lost_worker_is_one_line(program: &str, long_run: &str) {
    let place = Workplace::new(program);
    let mut running = start(&place, long_run, "process");
    running.wait_until_under_way(WORKERS);
    // A worker that is idle just then is replaced, and the run goes on.
    while !running.has_ended() {
        for worker in running.workers().into_iter().take(1).filter_map(Pid::from_raw) {
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
