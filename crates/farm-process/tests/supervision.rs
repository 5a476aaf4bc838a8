//! Workers that stop, do not end, or leave processes behind.

farm_process::init_before_main!();

mod common;

use std::process::Command;
use std::time::Duration;

use common::{
    is_usable, kill, pid, pool, process_of, square, state_of, stay, wait_for_end_of, wait_until,
};
use farm_conformance::watchdog::guard;
use farm_core::prelude::*;
use farm_process::Pool;
use rustix::process::Signal;

#[test]
fn a_worker_that_stays_stopped_counts_as_lost() {
    fn stop_at_first(folder: std::path::PathBuf) -> usize {
        let n = common::take_number(&folder);
        if n == 0 {
            kill(pid(()), Signal::STOP);
        }
        n
    }
    guard("stopped", || {
        let pool = Pool::builder().workers(2).stopped_after(Duration::from_millis(40));
        let pool = pool.build().unwrap();
        let (folder, other) = (common::Folder::new(), common::Folder::new());
        let stopped = pool.submit(stop_at_first, folder.0.clone());
        let options = TaskOptions::new().retries(1);
        let again = pool.submit_with(options, stop_at_first, other.0.clone());
        is_usable(&pool);
        let error = stopped.get().unwrap_err();
        let TaskError::WorkerLost { loss, .. } = &error else { panic!("{error}") };
        assert!(loss.stopped.is_some_and(|time| time >= Duration::from_millis(40)), "{error}");
        assert!(error.to_string().contains("was stopped for"), "{error}");
        assert_eq!(again.get().unwrap(), 1);
        assert_eq!(pool.stats().workers_lost, 2);
    });
}

#[test]
fn a_worker_that_is_stopped_while_it_is_idle_costs_no_task() {
    guard("stopped_idle", || {
        let pool = Pool::builder().workers(1).stopped_after(Duration::from_millis(40));
        let pool = pool.build().unwrap();
        let worker = pool.apply(pid, ()).unwrap();
        kill(worker, Signal::STOP);
        wait_until(|| state_of(worker) == Some('T'));
        assert_ne!(pool.apply(pid, ()).unwrap(), worker);
        assert_eq!((pool.stats().retried, pool.stats().failed), (0, 0));
    });
}

#[test]
fn a_worker_that_goes_on_in_time_is_not_lost() {
    guard("continued", || {
        let pool = pool(1);
        let handle = pool.submit(
            |()| {
                kill(pid(()), Signal::STOP);
                7
            },
            (),
        );
        let worker = process_of(&pool, &handle);
        wait_until(|| state_of(worker) == Some('T'));
        // The watch has seen by then that the worker is stopped.
        let handle = handle.get_timeout(Duration::from_millis(600)).unwrap_err();
        kill(worker, Signal::CONT);
        assert_eq!(handle.get().unwrap(), 7);
        assert_eq!(pool.stats().workers_lost, 0);
    });
}

#[test]
fn a_timeout_strikes_a_stopped_worker_too() {
    guard("stopped_timeout", || {
        let pool = pool(1);
        let options = TaskOptions::new().timeout(Duration::from_millis(50));
        let handle = pool.submit_with(options, |()| kill(pid(()), Signal::STOP), ());
        let error = handle.get().unwrap_err();
        assert!(matches!(error, TaskError::TimedOut { .. }), "{error}");
        is_usable(&pool);
    });
}

/// A task that starts a program, which outlives the task, and returns its process id.
#[expect(clippy::zombie_processes, reason = "its worker is to leave it behind")]
fn start_a_child(_: ()) -> i32 {
    let child = Command::new("sleep").arg("1000").spawn().unwrap();
    child.id().cast_signed()
}

#[test]
fn what_a_worker_has_started_ends_with_it() {
    guard("children", || {
        let ends: [fn(Pool, i32); 4] = [
            |pool, worker| {
                kill(worker, Signal::KILL);
                wait_for_end_of(worker);
                is_usable(&pool);
            },
            |pool, _| pool.shutdown(),
            |pool, _| drop(pool),
            |pool, _| {
                // The worker retires after four tasks.
                let _ = pool.map(square, 0..20).unwrap();
            },
        ];
        for end in ends {
            let pool = Pool::builder().workers(1).max_tasks_per_worker(4).build().unwrap();
            let (worker, child) =
                (pool.apply(pid, ()).unwrap(), pool.apply(start_a_child, ()).unwrap());
            assert!(state_of(child).is_some());
            end(pool, worker);
            wait_for_end_of(child);
        }
    });
}

#[test]
fn a_grandchild_that_holds_the_pipe_open_delays_nobody() {
    #[expect(clippy::zombie_processes, reason = "its worker is to leave it behind")]
    fn start_a_daemon(_: ()) -> i32 {
        let child = Command::new("setsid").args(["sleep", "1000"]).spawn().unwrap();
        let pid = child.id().cast_signed();
        wait_until(|| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() == "sleep\n");
        pid
    }
    guard("daemon", || {
        let pool = pool(1);
        let (worker, daemon) =
            (pool.apply(pid, ()).unwrap(), pool.apply(start_a_daemon, ()).unwrap());
        kill(worker, Signal::KILL);
        is_usable(&pool);
        drop(pool);
        kill(daemon, Signal::KILL);
    });
}

#[test]
fn a_worker_that_will_not_end_by_itself_is_ended() {
    fn hang_at_exit(_: ()) -> i32 {
        extern "C" fn hang() {
            stay(());
        }
        // SAFETY: the function may be called at any time.
        unsafe { libc::atexit(hang) };
        pid(())
    }
    guard("at_exit", || {
        let pool = pool(1);
        let worker = pool.apply(hang_at_exit, ()).unwrap();
        pool.shutdown();
        assert_eq!(state_of(worker), None);
        let pool = Pool::builder().workers(1).max_tasks_per_worker(1).build().unwrap();
        let retired = pool.apply(hang_at_exit, ()).unwrap();
        // The pool has nothing to do meanwhile.
        wait_for_end_of(retired);
        assert_eq!(pool.stats().workers_lost, 0);
    });
}

#[test]
fn time_passes_for_workers_that_come_up_while_there_is_no_work() {
    guard("late", || {
        let pool = Pool::builder().workers(1).initializer(stay, ());
        let error = pool.start_timeout(Duration::from_millis(1500)).build().unwrap_err();
        assert!(error.to_string().contains("took longer than 1.5s"), "{error}");
    });
}

#[test]
fn a_pool_without_work_uses_no_processor_time() {
    if common::part().is_some() {
        let pool = Pool::builder().workers(2).timeout(Duration::from_secs(60)).build().unwrap();
        is_usable(&pool);
        let ticks = |pid: u32| -> u64 {
            // User and system time, in hundredths of a second. Source: proc_pid_stat(5).
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let fields = stat.rsplit(')').next().unwrap().split_whitespace();
            fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
        };
        let switches = |pid: u32| -> u64 {
            let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
            threads
                .map(|thread| {
                    let status = thread.unwrap().path().join("status");
                    let status = std::fs::read_to_string(status).unwrap();
                    let line = status.lines().find(|line| line.starts_with("voluntary")).unwrap();
                    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
                })
                .sum()
        };
        let pids: Vec<_> = pool.processes().into_iter().map(|process| process.pid).collect();
        // The beats go on for a moment after the last task.
        std::thread::sleep(Duration::from_millis(800));
        let own = std::process::id();
        let all = || -> Vec<_> {
            let mut all: Vec<_> = pids.iter().map(|pid| (ticks(*pid), switches(*pid))).collect();
            // Of the master, only the processor time counts, since this thread itself sleeps and
            // wakes.
            all.push((ticks(own), 0));
            all
        };
        let before = all();
        std::thread::sleep(Duration::from_secs(2));
        let after = all();
        let (own, ours) = (after.len() - 1, before.len() - 1);
        assert_eq!(before[..ours], after[..own], "the workers");
        // Reading the numbers takes processor time, too.
        assert!(after[own].0 <= before[ours].0 + 1, "the master: {before:?} {after:?}");
        return;
    }
    guard("idle", || {
        let output = common::play("a_pool_without_work_uses_no_processor_time", "master").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn the_cores_that_a_process_may_use_are_its_workers() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    if common::part().is_some() {
        let all = sched_getaffinity(None).unwrap();
        let first = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu)).unwrap();
        let mut one = CpuSet::new();
        one.set(first);
        sched_setaffinity(None, &one).unwrap();
        assert_eq!(Pool::new().unwrap().workers(), 1);
        sched_setaffinity(None, &all).unwrap();
        let cores = std::thread::available_parallelism().unwrap().get();
        assert_eq!(Pool::new().unwrap().workers(), cores);
        return;
    }
    guard("cores", || {
        let output = common::play("the_cores_that_a_process_may_use_are_its_workers", "master");
        let output = { output }.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}

#[test]
fn the_processor_time_that_a_control_group_may_use_is_counted_in_workers() {
    let name = "the_processor_time_that_a_control_group_may_use_is_counted_in_workers";
    if let Some(group) = common::part() {
        common::Group::enter(&group);
        assert_eq!(Pool::new().unwrap().workers(), 1);
        return;
    }
    // The time of one core: 100,000 microseconds in each tenth of a second.
    let limit = |version| match version {
        1 => ("cpu.cfs_quota_us", "100000".to_owned()),
        _ => ("cpu.max", "100000 100000".to_owned()),
    };
    let Some(group) = common::Group::new("cpu", limit) else {
        eprintln!("not tried: only the owner of a control group can limit its processor time");
        return;
    };
    guard("quota", || {
        let output = common::play(name, &group.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
}
